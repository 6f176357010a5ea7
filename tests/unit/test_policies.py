from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams import Retry
from streams.errors import DefinitionError
from streams.policies import DELAYS_MAX_S, seconds


def test_a_duration_is_seconds_or_a_timedelta() -> None:
    assert seconds(1, "x") == 1.0
    assert seconds(0, "x") == 0.0
    assert seconds(timedelta(milliseconds=1500), "x") == 1.5


@pytest.mark.parametrize(
    "wrong", [-1, float("nan"), float("inf"), timedelta(seconds=-1), "1s", None, True]
)
def test_a_duration_that_makes_no_sense_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="the pause"):
        seconds(wrong, "the pause")


def test_the_default_waits_little() -> None:
    assert [Retry().ceiling_s(attempt) for attempt in (1, 2)] == [1, 2]


def test_waits_double_up_to_the_greatest() -> None:
    retry = Retry(5, delay=timedelta(seconds=2), delay_max=7)
    assert [retry.ceiling_s(attempt) for attempt in range(1, 5)] == [2, 4, 7, 7]
    assert retry == Retry(5, delay=2, delay_max=7.0)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, "3", True, 101, None])
def test_attempts_is_a_whole_number_in_bounds(attempts: Any) -> None:
    with pytest.raises(DefinitionError, match="attempts"):
        Retry(attempts)


def test_waits_that_could_hold_a_lane_for_more_than_a_minute_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"add up to 63 s.*keeps its lane") as caught:
        Retry(7)
    assert "delay_max=10" in caught.value.hint
    assert Retry(7, delay_max=10).ceiling_s(6) == 10
    assert Retry(7, delay=60 / 63).ceiling_s(1) < 1


def test_a_delay_above_the_greatest_is_refused() -> None:
    with pytest.raises(DefinitionError, match="longer than delay_max"):
        Retry(2, delay=5, delay_max=1)


durations = st.floats(0, 100) | st.timedeltas(timedelta(0), timedelta(minutes=2))


@given(st.integers(1, 100), durations, durations)
def test_an_accepted_policy_never_waits_more_than_a_minute(
    attempts: int, delay: float | timedelta, delay_max: float | timedelta
) -> None:
    try:
        retry = Retry(attempts, delay=delay, delay_max=delay_max)
    except DefinitionError:
        greatest = min(seconds(delay_max, ""), seconds(delay, "") * 2.0**98)
        assert seconds(delay, "") > seconds(delay_max, "") or greatest * attempts > DELAYS_MAX_S
    else:
        waits = [retry.ceiling_s(attempt) for attempt in range(1, attempts)]
        assert sum(waits) <= DELAYS_MAX_S
        assert waits == sorted(waits)


@given(st.integers(2, 100), st.floats(0.1, 60))
def test_the_remedy_in_the_hint_works(attempts: int, delay: float) -> None:
    try:
        Retry(attempts, delay=delay)
    except DefinitionError as error:
        fits = float(error.hint.rpartition("=")[2].rstrip(")"))
        assert Retry(attempts, delay=min(delay, fits), delay_max=fits)
    else:
        assume(False)
