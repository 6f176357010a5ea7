"""What follows a failed attempt."""

from __future__ import annotations

from dataclasses import dataclass

from streams.errors import PermanentError, RetryAfter, UsageError
from streams.policies import Retry

DELAYS_MAX_S = 60.0
"""All delays of a task together: a retrying task keeps its lane and its place in memory."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after ``delay_s``."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The task fails, with this reason on its result."""

    reason: str


def after_failure(
    error: BaseException, policy: Retry, attempt: int, waited_s: float, jitter: float
) -> Again | GiveUp:
    """Decide; ``attempt`` counts from 1, ``jitter`` is uniform in [0, 1).

    Delays are exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter",
    AWS Architecture Blog, 2015).
    """
    if isinstance(error, PermanentError | UsageError):
        return GiveUp("permanent_error")
    if attempt >= policy.attempts:
        return GiveUp("attempts_exhausted")
    if isinstance(error, RetryAfter):
        if waited_s + error.delay_s > DELAYS_MAX_S:
            return GiveUp("retry_delay_too_long")
        return Again(error.delay_s)
    return Again(min(policy.ceiling_s(attempt) * jitter, max(0.0, DELAYS_MAX_S - waited_s)))
