"""Retention on a real broker, which takes markers away with the records before them."""

from __future__ import annotations

import asyncio
import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams import Context, agent
from streams.ports import Bounds
from streams.testing import Fleet
from streams.worker.host import Host

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@agent
async def heir(ctx: Context, text: str) -> str:
    return text


@agent
async def elder(ctx: Context, text: str) -> str:
    await ctx.submit(heir, text, key="k")
    return text


def test_a_partition_whose_records_are_all_deleted_goes_on(kafka: str) -> None:
    """Written in transactions the topic ends in a marker, which is committed like a record."""
    fleet = Fleet(elder, heir, kafka=kafka)

    def bounds() -> dict[int, Bounds]:
        return fleet.log.admin().bounds(fleet.topics.tasks("heir"), range(4))

    def committed() -> dict[int, int]:
        group, topic = fleet.topics.group("heir"), fleet.topics.tasks("heir")
        found = fleet.log.admin().committed(group, topic, range(4), stable=False)
        return {p: c.offset for p, c in found.items() if c is not None}

    async def run() -> None:
        async with fleet as client:
            await client.ask(elder, "x", key="k")
            end = time.monotonic() + 30
            while sum(committed().values()) < 2:
                assert time.monotonic() < end, f"{committed()} of {bounds()}"
                await asyncio.sleep(0.1)
            assert committed() == {p: b.end for p, b in bounds().items()}
            await fleet.hosts[0].stop()
            topic = fleet.topics.tasks("heir")
            places = [TopicPartition(topic, p, b.end) for p, b in bounds().items()]
            admin = AdminClient({"bootstrap.servers": kafka})
            for deleted in admin.delete_records(places).values():
                deleted.result(10)
            assert all(b.start == b.end for b in bounds().values())
            host = Host((elder, heir), fleet.hosts[0]._around)
            await host.start()
            try:
                assert await client.ask(heir, "y", key="k", timeout=30) == "y"
                assert host.pools[1].shared.stopped == {}
            finally:
                await host.stop()

    asyncio.run(run())
