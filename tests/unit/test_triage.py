"""The hosted pydantic-ai agent, with that library's own models for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai import Agent as Model
from pydantic_ai import models
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from streams import Context, agent
from streams.avro import decode
from streams.catalog import read_all
from streams.integrations.pydantic_ai import UNPRICED, charge_usage
from streams.loader import load
from streams.records import Cost
from streams.resources import data_folder
from streams.testing import Fleet

FILE = data_folder("agents") / "triage.py"


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    before, models.ALLOW_MODEL_REQUESTS = models.ALLOW_MODEL_REQUESTS, False
    yield
    models.ALLOW_MODEL_REQUESTS = before


def costs_of(fleet: Fleet) -> list[Cost]:
    topic = fleet.topics.costs
    partitions = range(fleet.log.admin().topics([topic])[topic].partitions)
    records = read_all(fleet.log, topic, partitions, fleet.clock)
    return [decode(record.value() or b"", Cost) for record in records]


async def run(hosted: Any, message: str) -> tuple[Any, Cost]:
    fleet = Fleet(hosted)
    async with fleet as client:
        record = await (await client.submit(hosted, message)).record(timeout=30)
        assert record.error is None
        (cost,) = costs_of(fleet)
        assert record.cost_micros == cost.amount_micros
        return record.output, cost


def test_it_takes_fifteen_lines() -> None:
    code = FILE.read_text().partition('"""\n')[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 15


async def _triage() -> tuple[Any, Cost]:
    (triage,) = load([FILE])
    model: Model[object, Any] = triage.fn.__globals__["model"]
    with model.override(model=TestModel(custom_output_args={"team": "sales", "urgent": True})):
        return await run(triage, "I would like to buy a thousand")


def test_a_hosted_model_answers_and_its_usage_is_charged() -> None:
    output, cost = asyncio.run(_triage())
    assert (output.team, output.urgent) == ("sales", True)
    assert cost.kind == "model"
    assert cost.units > 10
    assert (cost.resource, cost.amount_micros) == (f"test{UNPRICED}", 0)


def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse(
        [TextPart("done")],
        usage=RequestUsage(input_tokens=1_001, output_tokens=7),
        provider_name="openai",
    )


def test_a_known_model_is_charged_its_price_rounded_up_once() -> None:
    model = Model(FunctionModel(respond, model_name="gpt-5-mini"))

    @agent
    async def priced(ctx: Context, message: str) -> str:
        result = await model.run(message)
        charge_usage(ctx, result)
        return str(result.response.cost().total_price)

    output, cost = asyncio.run(run(priced, "hello"))
    exact = Decimal(output) * 1_000_000
    assert exact > 0
    assert 0 <= cost.amount_micros - exact < 1
    assert (cost.resource, cost.units) == ("gpt-5-mini", 1_008)
