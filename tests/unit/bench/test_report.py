from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.own import BARE, CPU, PLAIN, SPINE, TASKS_S
from bench.report import PAGE, TEXT, page, peers, pivot, stages, summary, surroundings, targets
from bench.results import RECORDED, Results, Section, Surroundings, load, save
from bench.series import Series
from bench.targets import TARGETS, against_the_best_on_redis, cost_of_exactly_once

ROOT = Path(__file__).parents[3]
AROUND = Surroundings(
    date="2026-01-02",
    commit="abc1234",
    machine="a processor, 2 CPUs",
    versions={"Python": "3.11.0"},
    load=0.1,
    tasks=1_000,
    runs=3,
)
CLASS_A, CLASS_B = "survives its store's process", "survives its machine"


def results(**sections: list[Series]) -> Results:
    return {name: Section(AROUND, series) for name, series in sections.items()}


def rates(case: str, **systems: float) -> list[Series]:
    names = {"spine": SPINE, "bare": BARE, "plain": PLAIN}
    return [Series(names.get(s, s), case, TASKS_S, (rate,)) for s, rate in systems.items()]


def test_results_survive_the_file_and_other_sections_stay(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    first = results(partitions=[Series(SPINE, "4 partitions", CPU, (1.0, 2.0))])
    save(first, file)
    save(results(waiting=[]), file)
    assert load(file) == first | results(waiting=[])


def test_classes_have_tables_of_their_own_with_the_stronger_promise_first() -> None:
    series = rates(CLASS_A, Celery=500, spine=9_000) + rates(CLASS_B, Celery=100)
    text = peers(Section(AROUND, series))
    first, second = text.split("**Class:")[1:]
    assert re.findall(r"^\| (agentstreams|Celery)", first, re.MULTILINE) == [SPINE, "Celery"]
    assert "| agentstreams | Kafka | exactly once | 9,000 |" in first
    assert "| Celery | Redis | at least once | 100 |" in second
    assert SPINE not in second


def test_surroundings_are_said_once_and_a_busy_machine_is_named() -> None:
    quiet, busy = AROUND, replace(AROUND, load=4.0)
    found = {"a": Section(quiet, []), "b": Section(quiet, []), "c": Section(busy, [])}
    first, second, third = surroundings(found).splitlines()
    assert first.startswith("- a, b: 2026-01-02, commit abc1234, 1,000 tasks a run")
    assert "busy" not in first
    assert "busy machine" in second
    assert third == "- a processor, 2 CPUs; Python 3.11.0."


def test_systems_that_could_not_run_are_named() -> None:
    assert "redis-server" in peers(Section(AROUND, rates(CLASS_A, spine=1)))
    assert "redis-server" not in peers(Section(AROUND, rates(CLASS_A, spine=1, Celery=1)))


def test_a_section_has_a_row_for_each_system_and_case_and_a_column_for_each_figure() -> None:
    series = [*rates("4 partitions", spine=1, bare=2), Series(SPINE, "4 partitions", CPU, (7.0,))]
    assert pivot(Section(AROUND, series)).splitlines() == [
        f"|  | system | {TASKS_S} | {CPU} |",
        "| --- | --- | --- | --- |",
        f"| 4 partitions | {SPINE} | 1.00 | 7.00 |",
        f"| 4 partitions | {BARE} | 2.00 |  |",
    ]
    assert pivot(None) == "Not measured.\n"


def test_stages_stand_under_their_thread() -> None:
    series = [
        Series(SPINE, "32 partitions, commit", CPU, (9.0,)),
        Series(SPINE, "32 partitions, commit: produce", CPU, (5.0,)),
    ]
    assert stages(Section(AROUND, series)).splitlines()[2:] == [
        "| **commit** |  | 9.00 |",
        "|  | produce | 5.00 |",
    ]


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [(15_000, "aim"), (14_999, "floor"), (10_000, "floor"), (9_999, "**below the floor**")],
)
def test_a_target_says_how_far_it_was_reached(rate: float, verdict: str) -> None:
    found = results(partitions=rates("4 partitions", spine=rate))
    assert TARGETS[0].row(found) == [
        "no-op tasks/s, 4 partitions",
        f"{rate:,}",
        "≥ 10,000",
        "≥ 15,000",
        verdict,
    ]


def test_where_less_is_better_the_bounds_are_upper_ones() -> None:
    cpu = next(target for target in TARGETS if target.figure.startswith("CPU"))
    assert [cpu.verdict(value) for value in (60, 100, 101)] == [
        "aim",
        "floor",
        "**below the floor**",
    ]


def test_what_was_not_measured_has_no_row() -> None:
    assert targets({}).count("\n") == 2
    assert summary({}) == ""


def test_exactly_once_costs_what_the_bare_loop_loses() -> None:
    found = results(partitions=rates("32 partitions", bare=900, plain=1_000))
    assert cost_of_exactly_once(found) == pytest.approx(10.0)
    assert cost_of_exactly_once({}) is None


def test_the_best_on_redis_is_what_counts_and_only_in_its_class() -> None:
    series = rates(CLASS_A, spine=9_000, Celery=500, Taskiq=1_500, Faust=8_000)
    found = results(peers=series) | {"peers-fsync": Section(AROUND, rates(CLASS_B, Taskiq=2_000))}
    assert against_the_best_on_redis(found) == pytest.approx(6.0)
    assert against_the_best_on_redis(results(peers=rates(CLASS_A, spine=1))) is None


def test_the_page_has_all_its_tables() -> None:
    text = page({}, TEXT.read_text("utf-8"))
    assert "{{" not in text
    assert "Not measured." in text


def test_the_page_is_what_the_recorded_results_say() -> None:
    assert PAGE.read_text("utf-8") == page(load(RECORDED), TEXT.read_text("utf-8"))


def test_both_sides_validate_with_the_same_versions() -> None:
    locks = (ROOT / "requirements.lock", ROOT / "bench" / "requirements.lock")
    shared = [
        dict(re.findall(r"^(pydantic|pydantic-core|uvloop)==(\S+)", lock.read_text(), re.MULTILINE))
        for lock in locks
    ]
    assert shared[0] == shared[1]
    assert len(shared[0]) == 3
