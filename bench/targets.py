"""The figures that this project wants to reach, each with its floor and its aim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.own import (
    BARE,
    CPU,
    GROWTH,
    HALF,
    LOW,
    OVER_IDLE,
    P50,
    P99,
    PER_TASK,
    PLAIN,
    SPINE,
    SUBMITTED,
    TASKS_S,
)
from bench.peers.compare import STORES
from bench.results import Results
from bench.series import Series, find, number

Value = float | None
CASE_MAIN = "32 partitions"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, how it follows from the results, and what it should be."""

    figure: str
    value: Callable[[Results], Value]
    floor: float | None
    aim: float | None
    unit: str = ""
    more_is_better: bool = True

    def row(self, results: Results) -> list[str] | None:
        """Figure, measured, floor, aim, verdict; None if it was not measured."""
        value = self.value(results)
        if value is None:
            return None
        bounds = [self._text(bound) for bound in (self.floor, self.aim)]
        return [self.figure, f"{number(value)}{self.unit}", *bounds, self.verdict(value)]

    def verdict(self, value: float) -> str:
        """How far it got."""
        if self.aim is not None and self._reaches(value, self.aim):
            return "aim"
        if self.floor is None:
            return "" if self.aim is None else "below the aim"
        return "floor" if self._reaches(value, self.floor) else "**below the floor**"

    def _reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.more_is_better else value <= bound

    def _text(self, bound: float | None) -> str:
        sign = "≥" if self.more_is_better else "≤"
        return "" if bound is None else f"{sign} {bound:,g}{self.unit}"


def one(section: str, case: str, figure: str, system: str = SPINE) -> Callable[[Results], Value]:
    """The median of a series."""

    def value(results: Results) -> Value:
        found = find(_series(results, section), system, case, figure)
        return None if found is None else found.median

    return value


def ratio(above: Callable[[Results], Value], below: Callable[[Results], Value]):
    """One value over another."""

    def value(results: Results) -> Value:
        top, bottom = above(results), below(results)
        return None if top is None or not bottom else top / bottom

    return value


def cost_of_exactly_once(results: Results) -> Value:
    """Percent by which the bare loop is slower with transactions than without."""
    kept = ratio(_no_op(CASE_MAIN, BARE), _no_op(CASE_MAIN, PLAIN))(results)
    return None if kept is None else max(0.0, (1 - kept) * 100)


def against_the_best_on_redis(results: Results) -> Value:
    """How many times the tasks per second of the best of them, in its class of durability."""
    series = [s for s in _series(results, "peers") if s.figure == TASKS_S]
    best = max((s.median for s in series if STORES[s.system] == "Redis"), default=None)
    own = next((s.median for s in series if s.system == SPINE), None)
    return None if best is None or own is None else own / best


def _series(results: Results, section: str) -> list[Series]:
    return list(results[section].series) if section in results else []


def _no_op(case: str, system: str = SPINE) -> Callable[[Results], Value]:
    return one("partitions", case, TASKS_S, system)


def _cpu(case: str) -> Callable[[Results], Value]:
    return one("partitions", case, CPU)


def _waiting(in_flight: str, figure: str) -> Callable[[Results], Value]:
    return one("waiting", f"{in_flight} in flight", figure)


def _answer(load: str, figure: str) -> Callable[[Results], Value]:
    return one("answering", load, figure)


def _growth(results: Results) -> Value:
    series = _series(results, "growing")
    return next((s.median for s in series if s.figure == GROWTH), None)


TARGETS = (
    Target("no-op tasks/s, 4 partitions", _no_op("4 partitions"), 10_000, 15_000),
    Target("no-op tasks/s, 32 partitions", _no_op("32 partitions"), 10_000, 15_000),
    Target("no-op tasks/s, 128 partitions", _no_op("128 partitions"), 4_000, 8_000),
    Target(
        "the same over the bare loop's, 32 partitions",
        ratio(_no_op(CASE_MAIN), _no_op(CASE_MAIN, BARE)),
        None,
        0.6,
    ),
    Target("over the best of Celery, Dramatiq, Taskiq", against_the_best_on_redis, 5, 10, "×"),
    Target("CPU per task in the worker", _cpu(CASE_MAIN), 100, 60, " µs", False),
    Target("1 s tasks/s, 1,000 in flight", _waiting("1,000", TASKS_S), 950, 985),
    Target("1 s tasks/s, 10,000 in flight", _waiting("10,000", TASKS_S), 9_000, 9_500),
    Target(
        "memory over idle, 10,000 in flight", _waiting("10,000", OVER_IDLE), 150, 100, " MiB", False
    ),
    Target(
        "memory per task in flight, 10,000", _waiting("10,000", PER_TASK), None, None, " KiB", False
    ),
    Target("submit → result, 50 % load, p50", _answer(HALF, P50), 40, 20, " ms", False),
    Target("submit → result, 50 % load, p99", _answer(HALF, P99), 120, 60, " ms", False),
    Target("submit → result, 50 tasks/s, p50", _answer(LOW, P50), None, None, " ms", False),
    Target("submit → result, 50 tasks/s, p99", _answer(LOW, P99), None, None, " ms", False),
    Target("cost of exactly-once, bare loop", cost_of_exactly_once, 15, 5, " %", False),
    Target("submitted/s", one("submitting", "12 partitions", SUBMITTED), 30_000, 80_000),
    Target("memory that a task leaves", _growth, None, None, " bytes", False),
)
