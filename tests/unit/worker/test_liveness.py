"""Who is alive is told by heartbeats alone, and by silence only where it can be heard."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from streams.worker.liveness import FRESH_S, Liveness


def beat(worker: str, state: str = "running") -> Any:
    return SimpleNamespace(worker_id=worker, state=state)


def alive(liveness: Liveness) -> set[str] | None:
    return None if liveness.beats is None else {beat.worker_id for beat in liveness.beats}


def listen(liveness: Liveness, times: range, *workers: str, state: str = "running") -> None:
    for now in times:
        for worker in workers:
            liveness.hear(beat(worker, state), float(now))
        liveness.listened(float(now))


def test_nobody_is_gone_before_the_worker_has_heard_itself_for_a_while() -> None:
    liveness = Liveness("me")
    listen(liveness, range(10), "other")
    assert alive(liveness) is None
    listen(liveness, range(10, 10 + int(FRESH_S)), "me", "other")
    assert alive(liveness) is None
    listen(liveness, range(10 + int(FRESH_S), 15), "me", "other")
    assert alive(liveness) == {"me", "other"}


def test_one_that_falls_silent_or_says_that_it_stops_is_gone() -> None:
    liveness = Liveness("me")
    listen(liveness, range(10), "me", "silent", "stops")
    assert alive(liveness) == {"me", "silent", "stops"}
    liveness.hear(beat("stops", "stopped"), 10.0)
    listen(liveness, range(10, 14), "me")
    assert alive(liveness) == {"me"}


def test_when_all_fall_silent_nobody_is_known_to_be_gone() -> None:
    liveness = Liveness("me")
    listen(liveness, range(10), "me", "other")
    listen(liveness, range(10, 20))
    assert alive(liveness) is None
    # And not at once when the topic can be read again: the others may need a moment more.
    listen(liveness, range(20, 21), "me")
    assert alive(liveness) is None
    liveness.deaf()
    assert alive(liveness) is None
