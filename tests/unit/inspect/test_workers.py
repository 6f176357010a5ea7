"""When a worker counts as alive."""

from __future__ import annotations

from typing import Any

import pytest

from streams.errors import NotFound
from streams.inspect.workers import (
    DEAD_AFTER_MS,
    Seen,
    find_worker,
    not_followed,
    serving,
    worker_row,
)
from streams.records import Heartbeat, PoolBeat


def seen(slot: str = "w", age_ms: int = 500, started_at: int = 0, **fields: Any) -> Seen:
    beat = Heartbeat(slot, slot, "here", 7, "1", 3, started_at, 0, fields.pop("state", "running"))
    beat.pools = [PoolBeat("search", "1", "pool.search", capacity=10, partitions=[0, 1])]
    return Seen(beat, age_ms)


@pytest.mark.parametrize(
    ("state", "age_ms", "shown", "alive"),
    [
        ("running", 2_500, "running", True),
        ("draining", DEAD_AFTER_MS, "draining", True),
        ("running", DEAD_AFTER_MS + 1, "dead", False),
        ("draining", DEAD_AFTER_MS + 1, "dead", False),
        ("stopped", 500, "stopped", False),
        ("stopped", DEAD_AFTER_MS + 1, "stopped", False),
    ],
)
def test_a_worker_without_beats_is_dead_unless_it_said_goodbye(
    state: str, age_ms: int, shown: str, alive: bool
) -> None:
    worker = seen(age_ms=age_ms, state=state)
    assert (worker.state, worker.alive) == (shown, alive)


def test_dead_shows_within_the_session_and_five_seconds() -> None:
    assert DEAD_AFTER_MS <= 11_000


def test_only_live_workers_serve() -> None:
    live, dead = seen("a"), seen("b", age_ms=60_000)
    assert serving([live, dead], "search") == [live]
    assert serving([live], "other") == []


def test_of_two_starts_in_a_slot_the_live_one_is_found_then_the_newest() -> None:
    old, new = seen(age_ms=60_000, started_at=1), seen(age_ms=60_000, started_at=2)
    assert find_worker([new, old], "w") is new
    live = seen(started_at=0)
    assert find_worker([new, live, old], "w") is live
    with pytest.raises(NotFound):
        find_worker([live], "x")


def test_a_row_sums_over_the_agents_of_a_worker() -> None:
    worker = seen()
    worker.beat.pools.append(
        PoolBeat("rank", "1", "pool.rank", capacity=5, in_flight=2, partitions=[3])
    )
    row = worker_row(worker)
    assert (row["agents"], row["in_flight"], row["capacity"], row["partitions"]) == (
        ["search", "rank"],
        2,
        15,
        3,
    )


def test_former_processes_of_a_slot_are_left_out_and_two_that_live_in_it_are_not() -> None:
    killed = seen("a", age_ms=60_000, started_at=1)
    stopped = seen("a", state="stopped", started_at=2)
    older, newer = seen("a", started_at=3), seen("a", started_at=4)
    gone = seen("b", age_ms=60_000, started_at=1)
    assert not_followed([newer, killed, gone, older, stopped]) == [older, newer, gone]
    assert not_followed([killed, stopped]) == [stopped]
    assert not_followed([older, seen("a", state="stopped", started_at=5)])[0] is older


@pytest.mark.parametrize("fields", [{"age_ms": 60_000}, {"state": "stopped"}])
def test_a_worker_that_is_gone_runs_and_owns_nothing(fields: dict[str, Any]) -> None:
    row = worker_row(seen(**fields))
    assert (row["in_flight"], row["partitions"], row["capacity"]) == (None, None, 10)
