"""Limits of topics that an operator has set, on a real broker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from streams import Context, agent
from streams.testing import Fleet
from streams.verify import check

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

LIMIT = 20_000
TASKS = 120


@agent
async def wordy(ctx: Context, number: int) -> str:
    return random.Random(number).randbytes(600).hex()


class Narrow(Fleet):
    """The topic of results takes less than a client's batch holds."""

    def _connect(self) -> None:
        super()._connect()
        specs = self.topics.of_pool("wordy", partitions=4)
        narrow = [
            replace(spec, config={**spec.config, "max.message.bytes": str(LIMIT)})
            for spec in specs
            if spec.name == self.topics.results("wordy")
        ]
        self.log.admin().create_topics(narrow)


def test_a_batch_that_its_topic_does_not_take_fails_nobody(kafka: str) -> None:
    """A broker measures batches: it refuses a hundred small records as one that is too large."""
    fleet = Narrow(wordy, kafka=kafka)

    async def run() -> None:
        async with fleet as client:
            batch = await client.submit_many(wordy, range(TASKS), key=lambda n: "one partition")
            results = [result async for result in batch]
            assert {r.status for r in results} == {"succeeded"}
            assert len(results) == TASKS
            report = check(fleet.log, fleet.topics, pools=["wordy"])
            assert report.ok, report.text()

    asyncio.run(run())
