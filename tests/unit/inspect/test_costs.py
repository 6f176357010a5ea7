"""Reports of costs are exact sums."""

from __future__ import annotations

import pytest

from streams.errors import UsageError
from streams.inspect.costs import amount, parse_dimensions, report
from streams.records import Cost


def cost(agent: str, micros: int, tenant: str = "", currency: str = "USD", units: int = 1) -> Cost:
    return Cost("c", "t", "r", agent, "w", 1, "tool", "x", units, micros, 0, tenant, currency)


def test_costs_are_summed_by_what_was_asked_the_dearest_first() -> None:
    rows = report([cost("a", 3), cost("b", 5), cost("a", 4, units=2)], ["agent"])
    assert [(r["agent"], r["charges"], r["units"], r["amount_micros"]) for r in rows] == [
        ("a", 2, 3, 7),
        ("b", 1, 1, 5),
    ]


def test_every_combination_that_occurs_has_a_row() -> None:
    rows = report([cost("a", 1, "x"), cost("a", 2, "y"), cost("b", 3, "x")], ["agent", "tenant"])
    assert {(r["agent"], r["tenant"]): r["amount_micros"] for r in rows} == {
        ("a", "x"): 1,
        ("a", "y"): 2,
        ("b", "x"): 3,
    }


def test_currencies_are_never_added_up() -> None:
    rows = report([cost("a", 1), cost("a", 2, currency="EUR")], ["agent"])
    assert {row["currency"]: row["amount_micros"] for row in rows} == {"USD": 1, "EUR": 2}


def test_sums_are_exact_where_a_float_is_not() -> None:
    big = 2**53 + 1
    (row,) = report([cost("a", big), cost("a", 0)], [])
    assert row["amount_micros"] == big
    assert row["amount"] == "9007199254.740993"


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0.000000"), (1, "0.000001"), (1_500_000, "1.500000"), (-1, "-0.000001")],
)
def test_an_amount_has_six_decimals(micros: int, text: str) -> None:
    assert amount(micros) == text


def test_an_unknown_dimension_is_refused_with_those_that_are_known() -> None:
    assert parse_dimensions("agent, tenant,agent") == ["agent", "tenant"]
    with pytest.raises(UsageError) as caught:
        parse_dimensions("agent,colour")
    assert "tenant" in caught.value.hint
