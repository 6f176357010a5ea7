"""What a plan of topics amounts to, in words."""

from __future__ import annotations

import pytest

from streams.clock import SystemClock
from streams.inspect.topics import totals
from streams.ports import TopicSpec
from streams.provision import Change, TopicPlan
from streams.testing.memory import MemoryLog

MADE = Change(TopicSpec("costs", 6), "keep")
WANTED = Change(TopicSpec("agents", 1), "create")


@pytest.mark.parametrize(
    ("brokers", "replicas", "change", "said"),
    [
        (1, 1, WANTED, ""),
        (1, 1, MADE, ""),
        (1, 3, WANTED, "would make 3 replicas of each partition: start more brokers"),
        (3, 1, WANTED, "makes 1 replicas of each partition: set default.replication.factor"),
        (3, 3, WANTED, ""),
        (3, 3, MADE, "one replica on a cluster of 3 brokers, lost with its broker: costs;"),
    ],
)
def test_replicas_that_lose_or_prevent_something_are_said(
    brokers: int, replicas: int, change: Change, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog(SystemClock())
    log.admin().create_topics([MADE.spec])
    listed = {number: f"b{number}:9092" for number in range(brokers)}
    monkeypatch.setattr(log.admin(), "brokers", lambda: listed)
    lines = totals(log, TopicPlan(replicas, [change])).splitlines()
    assert [said in line for line in lines[1:]] == ([True] if said else [])
