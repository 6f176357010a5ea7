"""When a worker that ended is started again; what it and dev say to each other."""

from __future__ import annotations

import pytest

from streams.dev.protocol import AgentInfo, Loaded, Message, Spec, Started, Trouble, pack, unpack
from streams.dev.supervise import BACKOFF_JOINED_S_MAX, BACKOFF_S, STEADY_S, Deaths


@pytest.mark.parametrize("code", [2, 5])
def test_mistakes_and_conflicts_are_not_started_again(code: int) -> None:
    assert Deaths().after(code, 1.0, joined=True) is None


def test_deaths_in_a_row_are_answered_ever_later() -> None:
    deaths = Deaths()
    waits = [deaths.after(-9, 0.1, joined=False) for _ in range(len(BACKOFF_S) + 2)]
    assert waits == [*BACKOFF_S, BACKOFF_S[-1], BACKOFF_S[-1]]


def test_a_task_that_crashes_its_worker_again_and_again_stops_the_others_only_shortly() -> None:
    deaths = Deaths()
    waits = [deaths.after(-9, 0.1, joined=True) for _ in range(len(BACKOFF_S) + 2)]
    assert waits == [0.5, 1.0, *[BACKOFF_JOINED_S_MAX] * 5]
    # A start that fails for itself is still answered ever later.
    assert deaths.after(1, 0.1, joined=False) == BACKOFF_S[-1]


def test_a_worker_that_lived_for_long_starts_again_soon() -> None:
    deaths = Deaths()
    for _ in range(4):
        deaths.after(1, 0.1, joined=False)
    assert deaths.after(1, STEADY_S + 1, joined=True) == BACKOFF_S[0]


@pytest.mark.parametrize(
    "message",
    [
        Loaded([AgentInfo("a", "1", "a.py:3", "{}", "results.a", 12)], ["tasks.a"]),
        Started(),
        Trouble("E0130", "two\nlines", "hint", 2),
        Spec(["agents"], "dev", None, 2.0, "h:1", "p", {"security.protocol": "SSL"}),
    ],
)
def test_messages_survive_the_pipe(message: Message | Spec) -> None:
    line = pack(message)
    assert line.count(b"\n") == 1
    assert unpack(line) == message
