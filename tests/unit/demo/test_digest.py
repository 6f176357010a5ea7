"""The demo's agents, on the real runtime in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.agent import Agent
from streams.avro import decode
from streams.catalog import read_all
from streams.loader import load
from streams.records import Cost
from streams.resources import data_folder
from streams.testing import Fleet
from streams.verify import check, input_hash

TEXT = (
    "A worker is a member of a consumer group. The consumer group divides partitions among its "
    "workers. When a worker dies, the consumer group gives its partitions to another worker."
)


@pytest.fixture(scope="module")
def agents() -> dict[str, Agent[Any, Any]]:
    return {agent.name: agent for agent in load([data_folder("agents") / "digest.py"])}


def test_a_piece_is_digested_and_its_keywords_are_indexed(
    agents: dict[str, Agent[Any, Any]],
) -> None:
    digest, index = agents["digest"], agents["index"]
    piece = digest.input(topic="groups", part=1, text=TEXT)

    async def run() -> None:
        fleet = Fleet(digest, index)
        async with fleet as client:
            handle = await client.submit(digest, piece, key="groups")
            record = await handle.record(timeout=60)
            assert record.output is not None, record.error
            assert record.output.summary in TEXT
            assert record.output.keywords["consumer group"] == 3
            assert record.cost_micros == -(-len(TEXT) * 20 // 1_000)
            costs = await charged(fleet, 2)
            assert costs["digest"].units == len(TEXT)
            assert costs["index"].units == len(record.output.keywords)
            submitted = {handle.task_id: input_hash(digest.dump_input(piece))}
        pools = ["digest", "index"]
        report = check(fleet.log, fleet.topics, submitted, pools=pools)
        assert (report.submitted, report.caused, report.answered) == (1, 1, 2)
        assert report.ok, report.text()

    asyncio.run(run())


async def charged(fleet: Fleet, count: int) -> dict[str, Cost]:
    """The costs by agent, as soon as there are so many."""
    topic = fleet.topics.costs
    partitions = range(fleet.log.admin().topics([topic])[topic].partitions)
    while True:
        records = read_all(fleet.log, topic, partitions, fleet.clock)
        costs = [decode(record.value() or b"", Cost) for record in records]
        if len(costs) >= count:
            return {cost.agent: cost for cost in costs}
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("characters", "micros"), [(0, 0), (1, 1), (50, 1), (51, 2), (1_000, 20), (2_000, 40)]
)
def test_a_price_is_rounded_up_once(
    agents: dict[str, Agent[Any, Any]], characters: int, micros: int
) -> None:
    price_micros = agents["digest"].fn.__globals__["price_micros"]
    assert price_micros(characters) == micros


def test_words_count_by_their_occurrences_and_their_length(
    agents: dict[str, Agent[Any, Any]],
) -> None:
    index = agents["index"]
    value = index.input(
        topic="t", part=1, summary="", keywords={"consumer group": 3, "worker": 4, "lane": 1}
    )

    async def run() -> None:
        async with Fleet(index) as client:
            output = await client.ask(index, value)
            assert output.scores == {"consumer group": 6, "worker": 4, "lane": 1}

    asyncio.run(run())
