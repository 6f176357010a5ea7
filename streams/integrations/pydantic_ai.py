"""Models called through pydantic-ai: their usage as costs of the task."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.run import AgentRunResult

from streams.context import Context

UNPRICED = " (price unknown)"
"""What the resource of a charge ends with when its amount of 0 means that nobody knows it."""


def charge_usage(ctx: Context, result: AgentRunResult[Any]) -> None:
    """Charge the task what a run's calls cost, one charge per model; units are tokens.

    Prices are those of ``genai-prices`` as installed, in US dollars, rounded up once to whole
    micros. A model without a known price is charged 0 under its name with UNPRICED, so that no
    report takes it for free.
    """
    responses: dict[str, list[ModelResponse]] = {}
    for message in result.new_messages():
        if isinstance(message, ModelResponse):
            responses.setdefault(message.model_name or "unknown", []).append(message)
    for model, calls in responses.items():
        tokens = sum(call.usage.total_tokens for call in calls)
        price = _price(calls)
        if price is None:
            ctx.charge(f"{model}{UNPRICED}", amount_micros=0, units=tokens, kind="model")
        else:
            micros = math.ceil(price * 1_000_000)
            ctx.charge(model, amount_micros=micros, units=tokens, kind="model")


def _price(calls: Iterable[ModelResponse]) -> Decimal | None:
    """What the calls cost in dollars, None if any of them has no known price."""
    try:
        return sum((call.cost().total_price for call in calls), Decimal(0))
    except (LookupError, ValueError, AssertionError):  # unknown model; usage or name is missing
        return None
