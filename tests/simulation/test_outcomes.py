"""Which ends of a task are allowed, and that others are found."""

from __future__ import annotations

from dataclasses import replace

from streams.testing.faults import Fails
from streams.verify.evidence import Ended, Evidence, Source

from .outcomes import Alone, Due, End, Watch, compare

PLACE = ("tasks.first", 0)
DUE = Due("task 7", "hash", 3, 7, attempts=2)
ENDED = Ended(
    "a", PLACE, 5, 0, "succeeded", "", "first", "1", 2, 0, 1_000_000, 14, "", "hash", "slot-0", 0
)


def _found(ended: Ended, due: Due = DUE, watch: Watch | None = None, *children: str) -> list[str]:
    evidence = Evidence()
    evidence.tasks["a"] = Source(PLACE, 5, None, 0, "a", "hash")
    evidence.results["a"] = ended
    for number, digest in enumerate(children):
        name = f"child {number}"
        evidence.tasks[name] = Source(PLACE, 6, None, 0, name, digest, parent_task_id="a")
    return list(compare(evidence, {"a": due}, watch or Watch([])))


def test_each_attempt_is_paid_for() -> None:
    assert _found(ENDED) == []
    assert _found(ENDED._replace(cost_micros=7))
    assert _found(ENDED._replace(attempt=1, cost_micros=7))
    assert _found(ENDED._replace(attempt=3, cost_micros=21))


def test_the_charges_of_an_attempt_whose_worker_died_may_be_missing() -> None:
    alone = Alone({1})
    assert DUE.ends(alone) == {End("succeeded", "", 2, 14), End("succeeded", "", 2, 7)}
    assert End("failed", "killed_worker", 3, 0) in DUE.ends(Alone({1, 2, 3}))


def test_a_task_is_convicted_only_if_it_ran_alone_in_each_death() -> None:
    convicted = ENDED._replace(status="failed", reason="killed_worker", attempt=3, cost_micros=0)
    watch = Watch([], {(PLACE, 5): Alone({1, 2, 3})}, {PLACE: ("slot-0/1", 5)})
    assert _found(convicted)
    assert _found(convicted, DUE, watch) == []
    watch.killed("slot-0/1")
    assert _found(convicted, DUE, watch)
    assert _found(convicted, replace(DUE, kills=True), watch) == []
    assert _found(ENDED, replace(DUE, kills=True), watch)


def test_only_a_task_with_a_deadline_expires_and_not_before_it() -> None:
    expired = ENDED._replace(status="expired", reason="deadline")
    assert _found(expired)
    assert _found(expired, replace(DUE, deadline=900_000)) == []
    assert _found(expired, replace(DUE, deadline=1_100_000))
    assert _found(ENDED, replace(DUE, deadline=500_000))


def test_a_good_task_is_blamed_only_after_enough_reports_that_name_nobody() -> None:
    blamed = ENDED._replace(status="failed", reason="record_refused")
    assert _found(blamed)
    assert _found(blamed, DUE, Watch([Fails("deliver", "_PURGE_QUEUE", times=4)])) == []
    assert _found(blamed, DUE, Watch([Fails("deliver", "_PURGE_QUEUE", times=2)]))


def test_a_child_comes_once_and_with_success() -> None:
    due = replace(DUE, child=Due("child", "other", 2))
    assert _found(ENDED, due, None, "other") == []
    assert _found(ENDED, due)
    assert _found(ENDED, due, None, "other", "other")
    assert _found(ENDED, due, None, "another")
    assert _found(ENDED, DUE, None, "other")
