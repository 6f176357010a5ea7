"""Policies of an agent: values that are checked when they are made."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import cast

from streams.errors import DefinitionError

Duration = float | timedelta
"""Seconds, or a ``timedelta``."""

ATTEMPTS_MAX = 100
DELAYS_MAX_S = 60.0
"""A task that waits for its next attempt keeps its lane, so all its waits together are bounded."""


def seconds(duration: Duration, what: str) -> float:
    """The seconds in ``duration``, which is named ``what`` in the DefinitionError otherwise.

    Refuses what is no number, negative or infinite.
    """
    value = duration.total_seconds() if isinstance(duration, timedelta) else duration
    # A bool is an int to Python; here it can only be a mistake.
    if isinstance(value, bool) or not isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError(
            f"{what} is {duration!r}, which is not a duration",
            hint="give seconds (1.5) or a datetime.timedelta",
        )
    if not 0 <= value < math.inf:
        raise DefinitionError(
            f"{what} is {duration!r}: a duration is finite and not negative",
            hint="give seconds (1.5) or a datetime.timedelta",
        )
    return float(value)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed task is tried, and how long it waits in between.

    Before attempt n+1 a task waits a random time between 0 and ``delay`` · 2ⁿ⁻¹, at most
    ``delay_max`` (full jitter: Brooker, "Exponential Backoff And Jitter", 2015). All waits
    together are at most 60 s. Raises DefinitionError for a policy that could wait longer.
    """

    attempts: int = 3
    _: KW_ONLY
    delay: Duration = 1
    delay_max: Duration = 60

    def __post_init__(self) -> None:
        attempts = cast("object", self.attempts)
        if not isinstance(attempts, int) or isinstance(attempts, bool):
            raise DefinitionError(
                f"Retry(attempts={attempts!r}): attempts is a whole number",
                hint="attempts=1 means that a task is tried once",
            )
        if not 1 <= attempts <= ATTEMPTS_MAX:
            raise DefinitionError(
                f"Retry(attempts={attempts}): attempts is between 1 and {ATTEMPTS_MAX}",
                hint="attempts=1 means that a task is tried once",
            )
        object.__setattr__(self, "delay", seconds(self.delay, "Retry: delay"))
        object.__setattr__(self, "delay_max", seconds(self.delay_max, "Retry: delay_max"))
        self._check_delays()

    def _check_delays(self) -> None:
        delay, delay_max = self._delays_s()
        if delay > delay_max:
            raise DefinitionError(
                f"Retry: delay ({delay:g} s) is longer than delay_max ({delay_max:g} s)",
                hint="make delay smaller or delay_max greater",
            )
        total = sum(self.ceiling_s(attempt) for attempt in range(1, self.attempts))
        if total > DELAYS_MAX_S + 1e-6:  # the sum is rounded
            fits = math.floor(100 * DELAYS_MAX_S / (self.attempts - 1)) / 100
            raise DefinitionError(
                f"Retry: the delays of {self.attempts} attempts can add up to {total:g} s, but a "
                f"task keeps its lane while it waits, so at most {DELAYS_MAX_S:g} s are allowed",
                hint=f"use fewer attempts, or no delay above {fits:g} s (delay_max={fits:g})",
            )

    def ceiling_s(self, attempt: int) -> float:
        """The longest wait after ``attempt`` (counted from 1) has failed, in seconds."""
        delay, delay_max = self._delays_s()
        return min(delay_max, delay * 2.0 ** (attempt - 1))

    def _delays_s(self) -> tuple[float, float]:
        return seconds(self.delay, "delay"), seconds(self.delay_max, "delay_max")
