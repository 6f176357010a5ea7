"""The diary of a deployment: what was struck and when. Ground truth for the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Window = tuple[float, float]
"""From, until; seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault that was struck; times in seconds since the epoch."""

    kind: str
    target: str
    struck: float
    healed: float
    """When it was healed, or when the strike had done all it does."""
    partitions: tuple[int, ...] | None = None
    """Those of the main pool that stand still; None is all."""
    since: Literal["strike", "heal"] = "strike"
    """From when recovery counts."""
    reach: Literal["workers", "brokers"] = "workers"
    missed: str = ""
    """Why it does not count: there was nothing to strike, or it had no effect."""

    @property
    def window(self) -> Window:
        return self.struck, self.healed

    @property
    def counts_from(self) -> float:
        return self.struck if self.since == "strike" else self.healed

    def hits(self, partition: int) -> bool:
        return self.partitions is None or partition in self.partitions


def longest_outside(span: Window, excused: Iterable[Window]) -> float:
    """Seconds of the longest part of the span that lies in no excused window."""
    at, end = span
    longest = 0.0
    for since, until in sorted(excused):
        if until <= at:
            continue
        if since >= end:
            break
        longest = max(longest, since - at)
        at = max(at, until)
    return max(longest, end - at)


def total_outside(span: Window, excused: Iterable[Window]) -> float:
    """Seconds of the span that lie in no excused window."""
    at, end = span
    total = 0.0
    for since, until in sorted(excused):
        if since >= end:
            break
        total += max(0.0, since - at)
        at = max(at, until)
    return total + max(0.0, end - at)


def windows(
    diary: Sequence[Struck],
    *,
    partition: int | None = None,
    reach: str | None = None,
    since: str | None = None,
) -> list[Window]:
    """The windows of the faults that hit this partition, reach brokers, or let nothing go on."""
    return [
        struck.window
        for struck in diary
        if (partition is None or struck.hits(partition))
        and (reach is None or struck.reach == reach)
        and (since is None or struck.since == since)
    ]
