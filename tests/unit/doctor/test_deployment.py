"""Checks of a deployment, on the log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from streams import Context, agent
from streams.avro import encode
from streams.catalog import Catalog
from streams.client import Client
from streams.doctor.check import Check
from streams.doctor.deployment import (
    Deployment,
    clock_skew,
    deployment_checks,
    group,
    topic_settings,
    worker_checks,
)
from streams.errors import LogError
from streams.inspect.workers import Seen
from streams.ports import TopicSpec
from streams.records import AgentCard, Heartbeat, TopicCard
from streams.testing import Fleet
from streams.testing.memory import MemoryLog
from streams.testing.memory.calls import Call
from streams.threads import ThreadRunner
from streams.topics import DAY_MS, Topics


class FixedClock:
    """A clock that stands still, ``ahead_s`` seconds before another."""

    def __init__(self, ahead_s: float = 0) -> None:
        self.ahead_s = ahead_s

    def now_micros(self) -> int:
        return 1_767_225_600_000_000 + round(self.ahead_s * 1e6)

    def monotonic(self) -> float:
        return 0.0

    def boottime(self) -> float:
        return 0.0


@agent
async def echo(ctx: Context, text: str) -> str:
    return text


def deployment(log: MemoryLog, clock: Any = None, topics: Topics | None = None) -> Deployment:
    clock, topics = clock or FixedClock(), topics or Topics()
    return Deployment(
        log, topics, Catalog(log, topics, clock, ThreadRunner()), clock, lambda _: None
    )


def in_fleet(act: Callable[[Fleet, Client, Deployment], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        fleet = Fleet(echo, **options)
        async with fleet as client:
            assert isinstance(fleet.log, MemoryLog)
            await act(fleet, client, deployment(fleet.log, fleet.clock, fleet.topics))

    asyncio.run(run())


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.verdict for check in checks}


def test_a_deployment_without_topics_is_no_failure() -> None:
    checks = list(deployment_checks(deployment(MemoryLog(FixedClock()))))
    assert [check.name for check in checks] == ["broker", "brokers", "topics"]
    assert {check.verdict for check in checks} == {"ok"}


def test_a_part_of_the_shared_topics_is_a_failure() -> None:
    log = MemoryLog(FixedClock())
    log.admin().create_topics([TopicSpec("costs", 1)])
    last = list(deployment_checks(deployment(log)))[-1]
    assert last.verdict == "fail"
    assert "heartbeats" in last.detail


def test_a_fleet_at_work_is_all_right() -> None:
    async def act(fleet: Fleet, client: Client, at: Deployment) -> None:
        assert await client.ask(echo, "hi") == "hi"
        await asyncio.sleep(2)  # virtual: a heartbeat
        found = verdicts(list(deployment_checks(at)))
        assert set(found.values()) == {"ok"}
        assert {"agent echo", "workers", "rights", "group echo", "clock"} <= found.keys()
        # What was written to look at the clock disturbs nobody.
        assert await client.ask(echo, "again") == "again"

    in_fleet(act)


def test_a_missing_topic_is_named() -> None:
    async def act(fleet: Fleet, client: Client, at: Deployment) -> None:
        at.log.delete_topic("dead.echo")  # type: ignore[attr-defined]
        found = verdicts(list(deployment_checks(at)))
        assert found["topic dead.echo"] == "fail"
        assert "agent echo" not in found

    in_fleet(act)


def test_tasks_that_nobody_works_on_are_a_warning() -> None:
    async def act(fleet: Fleet, client: Client, at: Deployment) -> None:
        await client.submit(echo, "hi")
        found = {check.name: check for check in deployment_checks(at)}
        assert found["group echo"].verdict == "warn"
        assert "nobody works" in found["group echo"].detail

    in_fleet(act, workers=0)


def test_a_transactional_id_that_is_not_allowed_is_a_failure_with_the_right() -> None:
    async def act(fleet: Fleet, client: Client, at: Deployment) -> None:
        def refuse(call: Call) -> None:
            if call.method == "init" and call.client.endswith(".doctor"):
                raise LogError("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", fatal=True)

        at.log.faults.append(refuse)  # type: ignore[attr-defined]
        found = {check.name: check for check in deployment_checks(at)}
        assert found["rights echo"].verdict == "fail"
        assert "WRITE on transactional ids 'pool.echo.*'" in found["rights echo"].hint

    in_fleet(act)


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(0, "ok"), (1, "ok"), (60, "warn"), (-60, "warn")]
)
def test_a_clock_that_goes_wrong_is_a_warning(ahead_s: float, verdict: str) -> None:
    log = MemoryLog(FixedClock())
    log.admin().create_topics([spec for spec in Topics().shared() if spec.name == "schemas"])
    assert clock_skew(deployment(log, FixedClock(ahead_s))).verdict == verdict


def test_schemas_that_cannot_be_written_are_a_failure() -> None:
    log = MemoryLog(FixedClock())
    log.admin().create_topics([spec for spec in Topics().shared() if spec.name == "schemas"])

    def refuse(call: Call) -> None:
        if call.method == "deliver":
            raise LogError("TOPIC_AUTHORIZATION_FAILED", topic="schemas")

    log.faults.append(refuse)
    check = clock_skew(deployment(log))
    assert check.verdict == "fail"
    assert check.hint == "allow WRITE on 'schemas'"


CARD = AgentCard("echo", "1", "echo", "", "", DAY_MS, 0)
TASKS = TopicCard("tasks.echo", "tasks", 12, 3 * DAY_MS, 1_000)


@pytest.mark.parametrize(
    ("config", "replication", "expected"),
    [
        ({"retention.ms": str(3 * DAY_MS)}, 1, []),
        ({"retention.ms": "-1"}, 1, []),
        ({"retention.ms": str(2 * DAY_MS)}, 1, ["fail"]),
        ({"message.timestamp.type": "CreateTime"}, 1, ["warn"]),
        ({"min.insync.replicas": "1"}, 3, ["warn"]),
        ({"min.insync.replicas": "2"}, 3, []),
    ],
)
def test_settings_of_a_topic(config: dict[str, str], replication: int, expected: list[str]) -> None:
    found = topic_settings("topic tasks.echo", CARD, TASKS, config, replication)
    assert [check.verdict for check in found] == expected


def test_topics_with_one_replica_on_several_brokers_are_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def act(fleet: Fleet, client: Client, at: Deployment) -> None:
        monkeypatch.setattr(at.log.admin(), "brokers", lambda: {1: "a:1", 2: "b:1", 3: "c:1"})
        assert verdicts(list(deployment_checks(at)))["topic tasks.echo"] == "warn"

    in_fleet(act)


def seen(slot: str, age_s: float = 0, **fields: Any) -> Seen:
    given: dict[str, Any] = {"state": "running", "version": "1"} | fields
    beat = Heartbeat(slot, slot, "host", 1, given.pop("version"), 1, 0, 0, given.pop("state"))
    for name, value in given.items():
        setattr(beat, name, value)
    assert encode(beat)
    return Seen(beat, round(age_s * 1000))


def test_a_silent_worker_is_a_warning_until_its_slot_is_taken_again() -> None:
    assert verdicts(list(worker_checks([seen("a", 30)])))["worker a"] == "warn"
    assert verdicts(list(worker_checks([seen("a", 30), seen("a")]))) == {"workers": "ok"}
    assert verdicts(list(worker_checks([seen("a", 30, state="stopped")]))) == {"workers": "ok"}


def test_a_blocked_worker_and_mixed_versions_are_warnings() -> None:
    found = verdicts(list(worker_checks([seen("a", blocked_by="x.py:3"), seen("b", version="2")])))
    assert found["worker a"] == "warn"
    assert [c.verdict for c in worker_checks([seen("a"), seen("b", version="2")])] == ["warn", "ok"]


def look(**changes: Any) -> dict[str, Any]:
    whole = {"members": 1, "behind": 5, "behind_s": 60.0, "problems": 0, "progress": [(1, 0)]}
    return whole | changes


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (look(), look(), "warn"),
        (look(), look(progress=[(2, 0)]), "ok"),
        (look(behind_s=3.0), look(behind_s=5.0), "ok"),
        (look(behind=0), look(behind=0), "ok"),
        (look(members=0), look(members=0), "warn"),
        (look(problems=1), look(problems=1), "fail"),
    ],
)
def test_a_group_that_does_not_move_is_a_warning(
    before: dict[str, Any], after: dict[str, Any], verdict: str
) -> None:
    assert group("echo", before, after).verdict == verdict
