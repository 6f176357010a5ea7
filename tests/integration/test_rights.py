"""On a broker that checks rights: what a worker and a client need is all they need."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams import Agent, Client, TaskFailed, Worker
from streams.avro import own_schemas
from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.errors import LogError, StreamsError, TopicMissing
from streams.kafka.log import KafkaLog
from streams.loader import load
from streams.provision import apply, plan
from streams.records import Result
from streams.testing import Kafka
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.verify import check, input_hash

from .rights import (
    ADMIN,
    CLIENT,
    GUARDED,
    READER,
    WORKER,
    Deployment,
    Right,
    applying_rights,
    client_rights,
    looking_rights,
    worker_rights,
)

pytestmark = pytest.mark.integration

PATH = Path(__file__).with_name("agents_that_cause.py")
STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]
AGENTS: dict[str, Agent[Any, Any]] = {agent.name: agent for agent in load([PATH])}
ASKER = AGENTS["asker"]
NEWER = [replace(a, policy=replace(a.policy, version="2")) for a in AGENTS.values()]
"""The same agents after a change: their worker publishes new cards."""
PATIENCE_S = 30.0
_NAMES = Topics()
OF_WORKER = [right._replace(name="") for right in worker_rights(_NAMES, ["asker"], ["namer"])]


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with Kafka(properties=GUARDED) as kafka:
        yield kafka.bootstrap


@pytest.fixture
def bare(guarded: str) -> Deployment:
    """A deployment without topics."""
    return Deployment(guarded, f"r{uuid.uuid4().hex[:8]}")


@pytest.fixture
def at(bare: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment whose topics the super user made, with a package older than the worker's."""
    log, agents = bare.log(ADMIN), list(AGENTS.values())
    catalog = Catalog(log, bare.topics, SystemClock(), ThreadRunner())
    with monkeypatch.context() as older:
        older.setattr("streams.catalog.own_schemas", lambda: dict([*own_schemas().items()][:1]))
        apply(log, bare.topics, catalog, agents, plan(log, bare.topics, catalog, agents, 2))
    return bare


def all_of_worker(topics: Topics) -> list[Right]:
    return worker_rights(topics, ["asker", "namer"], ["namer"])


async def work(at: Deployment, *names: str) -> list[Result[str]]:
    """The results of these tasks, worked on as the worker; raises what ended the worker."""
    async with Client(settings=at.settings(ADMIN)) as client:
        batch = await client.submit_many(ASKER, names)

        async def collect() -> list[Result[str]]:
            return [result async for result in batch]

        worker = Worker(NEWER, settings=at.settings(WORKER), drain_s=1.0)
        running = asyncio.create_task(worker.run())
        collecting = asyncio.create_task(collect())
        await asyncio.wait(
            {running, collecting}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S
        )
        assert running.done() or collecting.done(), "it hangs"
        if running.done():
            collecting.cancel()
        else:
            worker.stop()
        await running
        return await collecting


async def use(at: Deployment) -> dict[str, str]:
    """All that a client does, as the client; returns the inputs' hashes by task id."""
    submitted: dict[str, str] = {}

    def note(task_id: str, value: str) -> None:
        submitted[task_id] = input_hash(ASKER.dump_input(value))

    async with Client(settings=at.settings(CLIENT)) as client:
        own = f"order-{uuid.uuid4()}"
        first = await client.submit(ASKER, "Ada", task_id=own)
        again = await client.submit(ASKER, "Ada", task_id=own)
        assert first.task_id == again.task_id == own
        note(own, "Ada")
        assert await first.result(PATIENCE_S) == await again.result(PATIENCE_S)

        failing = await client.submit(ASKER, "nobody")
        note(failing.task_id, "nobody")
        with pytest.raises(TaskFailed, match="nobody is there"):
            await failing.result(PATIENCE_S)

        batch = await client.submit_many(ASKER, ["Bob"] * 20)
        async for result in batch:
            assert result.status == "succeeded"
            note(result.task_id, "Bob")

        known = await client.handle(ASKER, own)
        assert await known.result(PATIENCE_S) == await first.result(PATIENCE_S)
    return submitted


async def answered(at: Deployment, submitted: Iterable[str]) -> None:
    """Wait until the tasks that these caused have ended: another agent's, as the super user."""
    async with Client(settings=at.settings(ADMIN)) as client:
        for task_id in submitted:
            record = await (await client.handle(ASKER, task_id)).record(PATIENCE_S)
            if record.output is not None:
                child = await client.handle(AGENTS["namer"], record.output)
                assert await child.result(PATIENCE_S)


def test_a_worker_and_a_client_do_all_they_do_without_a_right_to_create(at: Deployment) -> None:
    at.allow(WORKER, all_of_worker(at.topics))
    at.allow(CLIENT, client_rights(at.topics, "asker"))

    async def run() -> dict[str, str]:
        async with Worker(NEWER, settings=at.settings(WORKER)):
            submitted = await use(at)
            await answered(at, submitted)
        return submitted

    submitted = asyncio.run(run())
    report = check(at.log(ADMIN), at.topics, submitted, pools=["asker", "namer"])
    assert report.ok, report.text()
    assert (report.submitted, report.caused, report.dead) == (22, 21, 1)
    assert report.answered == 22 + 21


@pytest.mark.parametrize(
    "number", range(len(OF_WORKER)), ids=[f"{r.operation}-{n}" for n, r in enumerate(OF_WORKER)]
)
def test_a_worker_without_one_of_its_rights_says_which(at: Deployment, number: int) -> None:
    at.allow(WORKER, all_of_worker(at.topics))
    missing = worker_rights(at.topics, ["asker"], ["namer"])[number]
    at.take(WORKER, missing)
    if missing.name == at.topics.tasks("namer"):
        # Not the pool's own: the task that caused it fails, and the worker goes on.
        (result,) = asyncio.run(work(at, "Ada"))
        assert (result.status, result.reason) == ("failed", "record_refused")
        assert result.error is not None
        names(missing, result.error.message)
        return

    async def serve() -> None:
        # Found out by the first beat, not by the tasks.
        async with asyncio.timeout(PATIENCE_S):
            await Worker(NEWER, settings=at.settings(WORKER)).run()

    if missing == Right("READ", "topic", at.topics.results("asker")):
        # Needed by whoever takes over what was answered already.
        assert asyncio.run(work(at, "Ada"))
    of_heartbeats = missing.name == at.topics.heartbeats
    with pytest.raises(StreamsError) as caught:
        asyncio.run(serve() if of_heartbeats else work(at, "Ada", "nobody"))
    names(missing, caught.value.message)


@pytest.mark.parametrize("number", range(len(client_rights(_NAMES, "asker"))))
def test_a_client_without_one_of_its_rights_says_which(at: Deployment, number: int) -> None:
    at.allow(CLIENT, client_rights(at.topics, "asker"))
    missing = client_rights(at.topics, "asker")[number]
    at.take(CLIENT, missing)

    async def run() -> None:
        async with Worker(list(AGENTS.values()), settings=at.settings(ADMIN)):
            async with asyncio.timeout(PATIENCE_S):
                if missing == Right("WRITE", "topic", at.topics.tasks("asker")):
                    # A caller's own id would need it too; the plain way says it as well.
                    async with Client(settings=at.settings(CLIENT)) as client:
                        await client.submit(ASKER, "Ada")
                await use(at)

    with pytest.raises(StreamsError) as caught:
        asyncio.run(run())
    names(missing, caught.value.message)


def test_who_may_not_read_results_is_told_so_and_not_left_waiting(at: Deployment) -> None:
    results = at.topics.results("asker")
    reading = Right("READ", "topic", results)
    at.allow(CLIENT, client_rights(at.topics, "asker"))
    at.take(CLIENT, reading)
    # Reading includes it. Without it nothing could be submitted.
    at.allow(CLIENT, [Right("DESCRIBE", "topic", results)])

    async def run() -> None:
        async with (
            Worker(list(AGENTS.values()), settings=at.settings(ADMIN)),
            Client(settings=at.settings(CLIENT)) as client,
        ):
            for _ in range(2):
                handle = await client.submit(ASKER, "Ada")
                with pytest.raises(LogError) as caught:
                    await handle.result(PATIENCE_S)
                names(reading, caught.value.message)
            batch = await client.submit_many(ASKER, ["Bob"])
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(LogError, match="READ on topic"):
                    assert not [result async for result in batch]
                at.allow(CLIENT, [reading])
                answer = None
                while answer is None:  # brokers hear of a right some time after it was given
                    # Of a task whose handle is held, and was given up.
                    with suppress(LogError):
                        answer = await (await client.handle(ASKER, handle.task_id)).result()

    asyncio.run(run())


def test_who_may_write_to_no_topic_at_all_is_told_of_the_first_that_is_needed(
    at: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """Its producer gets no id, and dies of that, before it could be refused a record."""
    rights = {*all_of_worker(at.topics), *client_rights(at.topics, "asker")}
    # To see a topic is a part of the right to write to it.
    less = {
        r._replace(operation="DESCRIBE") if (r.operation, r.resource) == ("WRITE", "topic") else r
        for r in rights
    }
    at.allow(READER, less)
    missing = Right("WRITE", "topic", at.topics.tasks("asker"))

    async def submit() -> None:
        async with asyncio.timeout(PATIENCE_S), Client(settings=at.settings(READER)) as client:
            for _ in range(2):
                with pytest.raises(StreamsError) as caught:
                    await client.submit(ASKER, "Ada")
                names(missing, caught.value.message)
            batch = await client.submit_many(ASKER, ["Ada", "Bob"])
            with pytest.raises(StreamsError) as caught:
                async for _ in batch:
                    pass
            names(missing, caught.value.message)

    asyncio.run(submit())
    ran = streams(at, READER, "task", "submit", "asker", '"Ada"')
    assert ran.returncode == 1
    assert ran.stderr.startswith("error["), ran.stderr
    names(missing, ran.stderr)

    async def serve() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await Worker(NEWER, settings=at.settings(READER)).run()

    for first in (at.topics.schemas, at.topics.heartbeats):
        with pytest.raises(StreamsError) as caught:
            asyncio.run(serve())
        names(Right("WRITE", "topic", first), caught.value.message)
        # What it would publish is there the second time.
        Catalog(at.log(ADMIN), at.topics, SystemClock(), ThreadRunner()).publish_now(NEWER)
    assert "died" not in caplog.text


def names(right: Right, message: str) -> None:
    """The message has the resource and what may not be done with it."""
    assert f"{right.resource} '{right.name.removesuffix('*')}" in message, message
    assert right.operation in message, message
    assert "right" in message, message


def streams(at: Deployment, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as this user types it; a mistake of rights is no traceback."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STREAMS_")}
    ran = subprocess.run(
        [*STREAMS, *words], env=clean | at.env(user), capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran


LOOKING = (
    ("agent", "list"),
    ("topic", "list"),
    ("worker", "list"),
    ("group", "list"),
    ("group", "get", "asker"),
    ("task", "list", "--agent", "asker"),
    ("dead", "list", "--agent", "asker"),
    ("cost", "report"),
)


def test_looking_takes_reading_and_describing(at: Deployment) -> None:
    at.allow(CLIENT, looking_rights(at.topics, "asker"))
    for words in LOOKING:
        ran = streams(at, CLIENT, *words)
        assert ran.returncode == 0, f"{words}: {ran.stderr}"


def test_applying_takes_creating_and_describing(bare: Deployment) -> None:
    bare.allow(WORKER, applying_rights(bare.topics))
    # The second time it compares what is there.
    for _ in range(2):
        ran = streams(bare, WORKER, "topic", "apply", str(PATH))
        assert ran.returncode == 0, ran.stderr
    assert len(made(bare)) == len(bare.topics.shared()) + 2 * len(bare.topics.of_pool("asker"))


def test_applying_without_the_right_is_one_error(bare: Deployment) -> None:
    ran = streams(bare, WORKER, "topic", "apply", str(PATH))
    assert ran.returncode == 1
    assert ran.stderr.count("error[") == 1
    assert f"the right CREATE on topic '{bare.topics.prefix}." in ran.stderr
    assert made(bare) == set()


def test_a_worker_process_without_a_right_says_so_and_ends_with_1(at: Deployment) -> None:
    at.allow(WORKER, all_of_worker(at.topics))
    missing = Right("READ", "group", at.topics.group("asker"))
    at.take(WORKER, missing)
    ran = streams(at, WORKER, "worker", "run", str(PATH))
    assert ran.returncode == 1
    names(missing, ran.stderr)


ASKING: dict[str, tuple[tuple[str, ...], int]] = {
    "worker": (("worker", "run", str(PATH)), 4),
    "submit": (("task", "submit", "asker", '"Ada"'), 4),
    "doctor": (("doctor",), 0),
    "plan": (("topic", "plan", str(PATH)), 0),
    "list": (("task", "list", "--agent", "asker"), 4),
    "group": (("group", "get", "asker"), 4),
}


@pytest.mark.parametrize("asked", ASKING)
def test_asking_for_topics_makes_none(bare: Deployment, asked: str) -> None:
    words, code = ASKING[asked]
    ran = streams(bare, ADMIN, *words)
    assert ran.returncode == code, ran.stderr
    if asked in ("worker", "submit"):
        assert f"topic '{bare.topics.prefix}." in ran.stderr
        assert "streams topic apply" in ran.stderr
    assert made(bare) == set()


@pytest.mark.parametrize("kind", ["tasks", "results"])
def test_a_topic_that_is_gone_is_named_and_stays_gone(at: Deployment, kind: str) -> None:
    gone = getattr(at.topics, kind)("asker")
    at.delete(gone)
    before = made(at)
    assert gone not in before

    async def submit(task_id: str | None) -> None:
        async with Client(settings=at.settings(ADMIN)) as client:
            await client.submit(ASKER, "Ada", task_id=task_id)

    for task_id in (None, "my-own"):
        with pytest.raises(TopicMissing, match=f"'{gone}'") as caught:
            asyncio.run(submit(task_id))
        assert "streams topic apply" in caught.value.hint
    ran = streams(at, ADMIN, "worker", "run", str(PATH))
    assert ran.returncode == 4
    assert f"topic '{gone}' does not exist" in ran.stderr
    assert f"streams topic apply {PATH}" in ran.stderr
    assert made(at) == before


def made(at: Deployment) -> set[str]:
    """The topics of this deployment, as the super user sees them."""
    log: KafkaLog = at.log(ADMIN)
    return {name for name in log.admin().topics() if name.startswith(f"{at.topics.prefix}.")}
