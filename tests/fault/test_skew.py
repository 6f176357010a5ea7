"""A worker's clock is an hour ahead: no record is refused, and no task of a day expires."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streams.testing import Kafka
from tests.integration.fleet import Fleet, now_micros

from . import skew

pytestmark = pytest.mark.skipif(skew.needs() is not None, reason=f"a wrong clock {skew.needs()}")

HOUR_S = 3_600
TASKS = 400


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S], ids=["ahead", "behind"])
def test_a_wrong_clock_refuses_and_expires_nothing(
    seconds: int, new_fleet: Callable[[str], Fleet], tmp_path: Path
) -> None:
    with Kafka() as kafka:
        fleet = new_fleet(kafka.bootstrap)
        fleet.apply()
        wrong = fleet.start("a", environment=skew.ahead(seconds, tmp_path))
        right = fleet.start("b")
        fleet.until(
            lambda: len(fleet.owned(wrong)) == len(fleet.owned(right)) == 3, "both own half"
        )
        fleet.submit([{"number": n, "seconds": 0.1} for n in range(TASKS)])
        fleet.until_answered()
        assert {result.status for result in fleet.results} == {"succeeded"}
        assert not fleet.dead
        by_wrong = fleet.answered_by(wrong)
        assert by_wrong
        assert fleet.answered_by(right)
        off = [abs(r.started_at / 1e6 - seconds - now_micros() / 1e6) for r in by_wrong]
        assert max(off) < 120, "its clock is what we said"
        # Its partitions go to the one whose clock is right, and tasks that it had begun with.
        fleet.submit([{"number": n, "seconds": 0.1} for n in range(TASKS, TASKS + 200)])
        wrong.kill()
        fleet.until(lambda: len(fleet.owned(right)) == 6, "the other owns all")
        fleet.until_answered()
        assert {result.status for result in fleet.results} == {"succeeded"}
        fleet.verify()
        for member in (wrong, right):
            assert "Traceback" not in member.log
            assert "bug" not in member.log
        fleet.close()
