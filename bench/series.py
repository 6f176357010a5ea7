"""What was measured, as values: the runs of one figure of one system, and what they say."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MIN_SPAN_MS = 1.0


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one system in one case (32 partitions, 50 % load), a value for each run."""

    system: str
    case: str
    figure: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self) -> str:
        """The median, with its range if there were several runs."""
        if len(self.values) == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(min(self.values))} to {number(max(self.values))})"


def number(value: float) -> str:
    """With as many digits as are worth reading."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def find(series: Iterable[Series], system: str, case: str, figure: str) -> Series | None:
    """The series of that name, None if it was not measured."""
    wanted = (system, case, figure)
    return next((s for s in series if (s.system, s.case, s.figure) == wanted), None)


def interleaved(
    systems: Sequence[str],
    case: str,
    runs: int,
    measure: Callable[[str, int], dict[str, float]],
) -> list[Series]:
    """Measure in turns, A B A B, so that what disturbs the machine disturbs all alike.

    ``measure(system, run)`` gives the figures of one run. Run 0 warms up and is not counted.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for run in range(runs + 1):
        for system in systems:
            figures = measure(system, run)
            said = ", ".join(f"{number(value)} {figure}" for figure, value in figures.items())
            print(f"  {case}, run {run}, {system}: {said}", file=sys.stderr)
            for figure, value in figures.items():
                if run:
                    values.setdefault((system, figure), []).append(value)
    return [Series(system, case, figure, tuple(v)) for (system, figure), v in values.items()]


def rate(times_ms: Sequence[float], skip: int = 0) -> float:
    """Events per second of a sorted sequence, without its first and last ``skip``.

    With tasks that all take a second, skip as many as run at once: the first and the last wave.
    """
    kept = times_ms[skip : len(times_ms) - skip]
    if len(kept) < 2:
        raise ValueError(f"{len(times_ms)} events, less {skip} at each end, have no rate")
    return (len(kept) - 1) / max(kept[-1] - kept[0], MIN_SPAN_MS) * 1_000


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line that fits the second half of the points best."""
    xs, ys = zip(*points[len(points) // 2 :], strict=True)
    return statistics.linear_regression(xs, ys).slope


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]
