"""The shortest plan of faults that still fails."""

from __future__ import annotations

from collections.abc import Sequence

from streams.testing.faults import Fault

from .run import Outcome, simulate


def shrink(outcome: Outcome) -> Sequence[Fault]:
    """Leave faults out, one after the other, as long as the run still goes wrong."""
    plan = list(outcome.plan)
    index = 0
    while index < len(plan):
        shorter = plan[:index] + plan[index + 1 :]
        if simulate(outcome.seed, shorter).problems:
            plan = shorter
        else:
            index += 1
    return plan
