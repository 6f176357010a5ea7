"""How tasks and workers of a storm must end, and which faults count."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from streams.records import Status
from streams.verify.evidence import Ended, Evidence, Source
from tests.fault import ends
from tests.fault.diary import Struck
from tests.fault.fault import Fault, Field, Launch, Missed
from tests.fault.field import LiveField, Reach
from tests.fault.storm import Storm, strike
from tests.fault.worker_faults import at_work
from tests.fault.workers import Life

LOG = Path("worker.log")
DEADLINE = 50
CHARGES = {"labour": 7}


def evidence(status: Status, reason: str, cost: int, attempt: int, finished: int = 20) -> Evidence:
    """One task, ``t``, appended at 10 s."""
    place = ("t.tasks.labour", 0)
    source = Source(place, 0, b"k", 0, "t", deadline=DEADLINE * 10**6, appended_ms=10_000)
    ended = Ended(
        "t", place, 0, 0, status, reason, "labour", "1", attempt, 0, finished * 10**6, cost, "",
        "", "a", finished * 1000,
    )  # fmt: skip
    return Evidence(tasks={"t": source}, results={"t": ended})


def wrong(nature: str, found: Evidence) -> str:
    return " ".join(v.message for v in ends.outcomes(found, {"t": nature}, CHARGES))


def test_each_task_ends_as_it_is_told_to() -> None:
    assert not wrong("plain", evidence("succeeded", "", 7, 1))
    assert not wrong("fails-2", evidence("succeeded", "", 21, 3))
    assert not wrong("fails-99", evidence("failed", "attempts_exhausted", 21, 3))
    assert not wrong("gives-up", evidence("failed", "permanent_error", 7, 1))
    assert not wrong("exit", evidence("failed", "killed_worker", 0, 3))
    assert not wrong("seize", evidence("failed", "killed_worker", 0, 3))
    assert not wrong("seize", evidence("succeeded", "", 7, 1))


def test_an_innocent_that_is_convicted_is_found() -> None:
    found = wrong("plain", evidence("failed", "killed_worker", 7, 1))
    assert found == "is 'plain' and failed (killed_worker), not succeeded"


def test_a_killer_that_succeeds_is_found() -> None:
    assert wrong("segfault", evidence("succeeded", "", 7, 1))


@pytest.mark.parametrize(
    ("cost", "attempt"), [(0, 1), (14, 1), (8, 2), (28, 3)], ids=["none", "more", "odd", "most"]
)
def test_charges_that_vanish_or_double_are_found(cost: int, attempt: int) -> None:
    assert f"costs {cost}" in wrong("plain", evidence("succeeded", "", cost, attempt))


def test_only_what_is_short_expires_and_only_after_its_deadline() -> None:
    late = evidence("expired", "deadline", 0, 1, finished=DEADLINE)
    assert not wrong("plain+short", late)
    assert not wrong("plain+short", evidence("succeeded", "", 7, 1))
    assert wrong("plain", late)
    assert wrong("plain+short", evidence("expired", "deadline", 0, 1, finished=DEADLINE - 1))


def test_what_a_short_task_caused_is_as_short() -> None:
    late = evidence("expired", "deadline", 0, 1, finished=DEADLINE)
    late.tasks["t"] = late.tasks["t"]._replace(parent_task_id="p")
    assert not [*ends.outcomes(late, {"p": "plain+short"}, CHARGES)]
    assert [*ends.outcomes(late, {"p": "plain"}, CHARGES)]


# -- workers --------------------------------------------------------------------------------

EXITS = {77: [(10.0, 20.0)]}


def life(code: int | None, ended: float = 15.0, **other: object) -> Life:
    at = None if code is None else ended
    return Life("a", 7, 0.0, LOG, ended=at, code=code, **other)  # type: ignore[arg-type]


def quits(
    worker: Life, diary: Sequence[Struck] = (), heard: Sequence[int] = (7,)
) -> list[tuple[str, str]]:
    return [(v.invariant, v.message) for v in ends.quits([worker], diary, EXITS, heard)]


def test_workers_end_when_they_are_asked_or_by_what_a_task_does() -> None:
    assert not quits(life(None))
    assert not quits(life(0, asked=True))
    assert not quits(life(-9, killed=True))
    assert not quits(life(77))
    assert not quits(life(1, launch=Launch(environment={"PYTHONPATH": "older"})))


def test_a_worker_that_ends_by_itself_is_found() -> None:
    assert quits(life(1)) == [("I13", "ended by itself with 1: worker.log")]
    assert quits(life(0)), "in order, and nobody asked it to"
    assert quits(life(77, ended=25.0)), "no such task was open"
    assert quits(life(-11)), "a library's own segmentation fault"


def test_a_worker_that_ends_otherwise_than_it_was_asked_is_found() -> None:
    assert quits(life(5, asked=True)) == [("I13", "was asked to end and ended with 5: worker.log")]
    assert "did not end within" in quits(life(-9, asked=True, overran=True))[0][1]
    term = life(-signal.SIGTERM, asked=True)
    assert quits(term)
    assert not quits(term, heard=()), "it had not begun to listen"


def test_a_worker_that_is_started_without_a_broker_may_give_up() -> None:
    away = Struck("kill", "broker 1", 0, 99, reach="brokers")
    assert quits(life(3))
    assert not quits(life(3), [away])
    assert quits(life(3), [Struck("kill", "a", 0, 99)])


def test_what_ends_a_worker_does_so_only_while_it_is_open() -> None:
    found = evidence("failed", "killed_worker", 0, 3)
    assert ends.deadly(found, {"t": "exit"}) == {77: [(10.0, 20.0)], -11: []}
    found.results.clear()
    assert ends.deadly(found, {"t": "segfault"}) == {77: [], -11: [(10.0, float("inf"))]}


# -- which faults count ---------------------------------------------------------------------


class Empty:
    """A field in which nobody owns anything."""

    slots = ("a", "b")

    def __init__(self) -> None:
        self.hit = Reach()
        self.waited = 0.0

    def owned(self, slot: str) -> frozenset[int]:
        return frozenset()

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        self.waited += seconds
        return condition()


def struck(**fault: object) -> Struck:
    made = SimpleNamespace(name="kind", pause_s=(1.0, 1.0), **fault)
    return strike(cast(LiveField, Empty()), cast(Fault, made), random.Random(1))


def test_a_fault_that_finds_nothing_to_strike_does_not_count() -> None:
    found = struck(strike=lambda field, rng: at_work(field, "b"))
    assert found.missed == "nobody at work in b"


def test_a_fault_whose_heal_sees_no_effect_does_not_count() -> None:
    def heal() -> None:
        raise Missed("nothing passed")

    assert struck(strike=lambda field, rng: heal).missed == "nothing passed"
    assert struck(strike=lambda field, rng: None).missed == ""


def test_faults_wait_for_a_worker_that_has_something_to_lose() -> None:
    field = SimpleNamespace(
        owned=lambda slot: frozenset({1} if slot == "b" else ()),
        until=lambda condition, seconds: condition(),
    )
    assert at_work(cast(Field, field), "a", "b") == "b"


def test_misses_are_counted_since_a_kind_last_met_something() -> None:
    storm = Storm(1)
    for kind, missed in [("x", "no"), ("x", ""), ("x", "no"), ("y", ""), ("x", "no")]:
        storm.diary.append(Struck(kind, "a", 0, 1, missed=missed))
    assert [storm.misses("x"), storm.misses("y"), storm.misses("z")] == [2, 0, 0]
    assert [each.kind for each in storm.struck] == ["x", "y"]
