from __future__ import annotations

import pytest

from bench.series import Series, find, interleaved, number, percentiles, rate, slope


def test_systems_are_measured_in_turns_and_the_first_turn_is_not_counted() -> None:
    asked: list[tuple[str, int]] = []

    def measure(system: str, run: int) -> dict[str, float]:
        asked.append((system, run))
        return {"tasks/s": 10.0 * run + (system == "b")}

    found = interleaved(["a", "b"], "case", 2, measure)
    assert asked == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert found == [
        Series("a", "case", "tasks/s", (10.0, 20.0)),
        Series("b", "case", "tasks/s", (11.0, 21.0)),
    ]


def test_a_rate_is_that_of_the_time_between_first_and_last() -> None:
    assert rate([0.0, 500.0, 1_000.0]) == 2.0


def test_a_rate_leaves_out_what_is_skipped_at_both_ends() -> None:
    # Waves of three tasks a second, of which the last came late.
    waves = [second * 1_000.0 for second in range(5) for _ in range(3)]
    waves[-3:] = [90_000.0] * 3
    assert rate(waves, skip=3) == pytest.approx(8 / 2.0)
    with pytest.raises(ValueError, match="have no rate"):
        rate(waves, skip=7)


def test_results_of_the_same_moment_have_a_finite_rate() -> None:
    assert rate([5.0, 5.0]) == 1_000.0


def test_the_slope_is_that_of_the_second_half() -> None:
    warming_up = [(n, 100.0 * n) for n in range(10)]
    steady = [(n, 1_000.0 + 2.0 * n) for n in range(10, 20)]
    assert slope(warming_up + steady) == pytest.approx(2.0)


def test_percentiles() -> None:
    p50, p99 = percentiles([float(n) for n in range(1, 1_001)])
    assert p50 == pytest.approx(500.5)
    assert 989 < p99 < 992


def test_a_series_says_its_median_and_its_range() -> None:
    assert Series("a", "c", "f", (3.0, 1.0, 2_000.0)).text() == "3.00 (1.00 to 2,000)"
    assert Series("a", "c", "f", (45.678,)).text() == "45.7"
    assert number(-1234.5) == "-1,234"


def test_what_was_not_measured_is_not_found() -> None:
    series = [Series("a", "c", "f", (1.0,))]
    assert find(series, "a", "c", "f") is series[0]
    assert find(series, "a", "c", "g") is None
