"""The worker's image beside the cluster of the compose file."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from docker.models.containers import Container

from streams import Address, Client
from streams.kafka.log import KafkaLog
from streams.topics import Topics
from streams.verify import check

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

Start = Callable[..., Container]

SHOUT = Address("shout", str, str)
TASKS = 3_000
END_S_MAX = 90
ANSWERS_S_MAX = 150
QUICK = ("--timeout", "60", "-o", "json")


def test_the_image_runs_the_command_as_an_ordinary_user(worker: Start) -> None:
    container = worker("--version")
    assert outcome(container) == f"streams {version('agentstreams')}"
    assert container.attrs["Config"]["User"] == "10001:10001"


def test_a_task_submitted_in_one_container_is_answered_in_another(worker: Start) -> None:
    outcome(worker("topic", "apply", "/app/agents"))
    worker()
    result = outcome(worker("task", "submit", "shout", "hello", "--wait", *QUICK))
    assert json.loads(result)["output"] == "HELLO"


def test_every_task_is_answered_once_while_a_broker_is_killed(worker: Start, cluster: Any) -> None:
    outcome(worker("topic", "apply", "/app/agents"))
    workers = [worker("worker", "run", "/app/agents", "--slot", name) for name in ("a", "b")]
    outputs, after_kill = asyncio.run(submit_and_kill(cluster))
    assert sorted(outputs) == sorted(f"TASK {n}" for n in range(TASKS))
    assert after_kill > 0, "nothing was left to do when the broker died"
    for each in workers:
        each.stop(timeout=40)
        assert each.wait(timeout=END_S_MAX)["StatusCode"] == 0, each.logs().decode()
    report = check(KafkaLog(cluster.bootstrap), Topics(), pools=["shout"])
    assert report.ok, report
    assert report.submitted >= TASKS
    cluster.broker("kafka-3").start()
    cluster.wait_healthy()


async def submit_and_kill(cluster: Any) -> tuple[list[str | None], int]:
    """Outputs of all tasks, and how many began after a broker was killed half-way."""
    outputs: list[str | None] = []
    killed_at, after_kill = None, 0
    async with Client(bootstrap=cluster.bootstrap) as client, asyncio.timeout(ANSWERS_S_MAX):
        batch = await client.submit_many(SHOUT, (f"task {n}" for n in range(TASKS)))
        async for result in batch:
            outputs.append(result.output)
            after_kill += killed_at is not None and result.started_at > killed_at
            if killed_at is None and len(outputs) == TASKS // 4:
                await asyncio.to_thread(cluster.broker("kafka-3").kill)
                killed_at = time.time_ns() // 1000
    return outputs, after_kill


def outcome(container: Container) -> str:
    """What the container printed, once it has ended well."""
    ended = container.wait(timeout=END_S_MAX)
    assert ended["StatusCode"] == 0, container.logs().decode()
    container.reload()
    return container.logs(stderr=False).decode().strip()
