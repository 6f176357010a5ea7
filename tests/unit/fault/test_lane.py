"""What the fault lane rests on: a repeatable schedule, its log of submissions, its report."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from streams.avro import decode, encode
from streams.records import Task
from tests.fault import submissions
from tests.fault.broker_faults import java_hash
from tests.fault.kinds import faults, scenarios, shared_out
from tests.fault.newer import NewerSchema
from tests.fault.plot import plot, smooth
from tests.fault.report import CHECKED, quantile, render
from tests.fault.schedule import draw, kinds_of
from tests.fault.submissions import SubmissionLog
from tests.fault.workload import FATES, pieces


def order(seed: str, count: int = 60) -> list[tuple[str, float]]:
    chosen = [fault for fault in faults() if 3 in fault.brokers]
    return [(fault.name, rng.random()) for fault, rng in islice(draw(chosen, seed), count)]


def test_one_seed_is_one_schedule() -> None:
    assert order("7") == order("7")
    assert order("7") != order("8")


def test_every_kind_comes_once_before_any_comes_again() -> None:
    kinds = {fault.name for fault in faults() if 3 in fault.brokers}
    names = [name for name, _ in order("7", 2 * len(kinds))]
    assert set(names[: len(kinds)]) == set(names[len(kinds) :]) == kinds


def test_what_one_fault_draws_does_not_move_the_next() -> None:
    chosen = faults()
    still = [rng.random() for _, rng in islice(draw(chosen, "7"), 5)]
    moved: list[float] = []
    for _, rng in islice(draw(chosen, "7"), 5):
        moved.append(rng.random())
        rng.random()
    assert moved == still


def test_a_fault_that_cannot_be_struck_here_is_left_out() -> None:
    class Rootless:
        name, needs, brokers = "rootless", "root", frozenset({1, 3})

    assert kinds_of([Rootless()], 1) == []  # type: ignore[list-item]
    assert {f.name for f in kinds_of(faults(), 1)} <= {f.name for f in faults()}


def test_a_short_run_strikes_every_kind_once_on_one_broker_or_on_three() -> None:
    out = shared_out(faults(short=True))
    names = [fault.name for kinds in out.values() for fault in kinds]
    assert sorted(names) == sorted(fault.name for fault in faults())
    assert all(size in fault.brokers for size, kinds in out.items() for fault in kinds)
    assert abs(len(out[1]) - len(out[3])) <= 2


def test_names_are_unique_and_say_what_they_are() -> None:
    names = [part.name for part in (*faults(), *scenarios())]
    assert len(names) == len(set(names))
    assert all(part.expected.strip() for part in scenarios())  # type: ignore[attr-defined]


def test_the_submission_log_knows_what_was_acknowledged_and_what_is_uncertain(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    notes = SubmissionLog(path)
    notes.intend([("a", "01", "plain"), ("b", "02", "exit"), ("c", "03", "fails-2+short")])
    notes.acknowledge(["a"])
    notes.give_up("b", "_MSG_TIMED_OUT")
    notes.close()
    with path.open("a") as file:
        file.write("A c")  # a crash in the middle of a line
    found = submissions.read(path)
    assert found.acknowledged == {"a": "01"}
    assert found.uncertain == {"b": "02", "c": "03"}
    assert found.natures == {"a": "plain", "b": "exit", "c": "fails-2+short"}


def test_the_load_has_what_it_should_have_of_everything() -> None:
    made = list(islice(pieces(random.Random("1")), 20_000))
    assert made == list(islice(pieces(random.Random("1")), 20_000))
    works = [piece.work for piece in made]
    assert sum(work.ms > 20 for work in works) > 10
    assert sum(work.fails > 0 for work in works) > 50
    assert sum(work.gives_up for work in works) > 20
    assert sum(work.children for work in works) > 500
    assert sum(piece.short for piece in made) > 10
    assert len({piece.tenant for piece in made}) > 3
    assert not any(work.fate for work in works), "fates are struck, not drawn"
    assert all(work.fate == name for name, work in FATES.items())
    natures = {piece.nature.removesuffix("+short") for piece in made}
    assert natures == {"plain", "gives-up", "fails-1", "fails-2", "fails-99"}


def test_a_newer_writers_task_reads_as_ours_once_its_schema_is_known() -> None:
    task = Task("t", "r", "labour", 1, 2, b"{}", key="k", tenant="north")
    first, second = NewerSchema(1), NewerSchema(2)
    assert first.fingerprint != second.fingerprint
    assert first.encode(task) != encode(task)
    assert decode(first.encode(task), Task) == decode(second.encode(task), Task) == task


@pytest.mark.parametrize(("text", "value"), [("", 0), ("abc", 96354), ("storm.pool.labour.a", 0)])
def test_coordinators_are_chosen_by_javas_hash(text: str, value: int) -> None:
    hashed = java_hash(text)
    assert hashed >= 0
    if value:
        assert hashed == value


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([1, 2, 3, 4], 0.9) == 4
    assert quantile([5], 0.5) == 5


def results(**other: Any) -> dict[str, Any]:
    fault = {"kind": "kill-worker", "target": "a", "at_s": 5.0, "lasted_s": 1.0, "since": "strike"}
    storm = {
        "brokers": 1,
        "seconds": 60.0,
        "tasks": 1234,
        "uncertain": 3,
        "missed": 2,
        "worker_starts": 4,
        "goodput": [10, 20, 30],
        "faults": [fault | {"back_s": back, "pause_s": 2.0} for back in (1.0, 2.0, None)],
        "violations": [],
    }
    scene = {"name": "retention", "expected": "it stops", "tasks": 9, "violations": []}
    return {
        "began": "2026-01-01",
        "seed": "1",
        "machine": {"processor": "p", "cores": 2, "memory_gib": 4.0, "system": "s"},
        "versions": {"python": "3"},
        "left_out": [{"name": "cut", "needs": "root"}],
        "storms": [storm],
        "scenarios": [scene],
        **other,
    }


def test_the_report_says_what_was_found() -> None:
    page = render(results(), "x.svg")
    assert "**1,234 tasks and 3 faults in 1 minutes: 0 violations.**" in page
    assert "| kill-worker | 1 | 3 | 1.0 | 2.0 | 2.0 | 2.0 | 2.0 | 2.0 |" in page
    assert "| retention | it stops | 9 | yes |" in page
    assert "- cut: root" in page
    assert all(f"| {rule} | {what} | 0 |" in page for rule, what in CHECKED.items())


def test_the_report_hides_no_violation() -> None:
    violation = {"invariant": "I2", "message": "has another result", "where": "t1"}
    bad = results()
    bad["scenarios"][0]["violations"] = [violation]
    page = render(bad, "x.svg")
    assert "1 violations.**" in page
    assert "| I2 | one result per task | 1 |" in page
    assert "- I2, t1: has another result" in page
    assert "| retention | it stops | 9 | no |" in page


def test_the_plot_holds_a_line_and_a_mark_for_each_fault() -> None:
    picture = plot(results()["storms"])
    assert picture.startswith("<svg")
    assert picture.count("<title>kill-worker: a</title>") == 3
    assert picture.count("<polyline") == 1


def test_goodput_is_smoothed_without_losing_any() -> None:
    assert smooth([0, 3, 0]) == [1.5, 1.0, 1.5]
    assert smooth([5, 5, 5, 5]) == [5, 5, 5, 5]
