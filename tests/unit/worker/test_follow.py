"""Following results whose place in the log is gone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from streams import Context, agent
from streams.client import Client
from streams.ports import Consumed, TopicPartition

from .simulation import Simulation, simulate, until


@agent
async def echo(ctx: Context, text: str) -> str:
    return text


class Lossy:
    """A client's reader, to which a broker that lost the tail of results comes back later."""

    def __init__(self, fleet: Simulation, client: Client) -> None:
        self._storage = fleet.log._broker.storage
        self._topic = fleet.topics.results("echo")
        self._reader = client._follower._reader
        self.away = False
        client._follower._reader = self  # type: ignore[assignment]

    def lose_tail(self, kept: int) -> None:
        """The results that were written last are lost, and the client knows nothing of it."""
        self.away = True
        for number in range(4):
            records = self._storage.partition(self._topic, number)._records
            del records[kept:]

    def consume(self, records_max: int, timeout_s: float) -> Consumed:
        return Consumed(()) if self.away else self._reader.consume(records_max, timeout_s)

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._reader.assign(offsets)

    def close(self) -> None:
        self._reader.close()


def test_results_are_followed_on_though_a_broker_lost_what_came_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            first = [await client.submit(echo, str(n), key="k") for n in range(20)]
            assert [await task.result(20) for task in first] == [str(n) for n in range(20)]
            broker = Lossy(fleet, client)
            broker.lose_tail(4)
            # Written where the client has read already: from the end it would be missed.
            missed = await client.submit(echo, "meanwhile", key="k")
            await until(lambda: len(fleet.results(echo)) > 2)
            broker.away = False
            assert await missed.result(20) == "meanwhile"
            assert await client.ask(echo, "after", key="k", timeout=20) == "after"
            again = await client.handle(echo, missed.task_id, key="k")
            assert await again.result(20) == "meanwhile"
            assert caplog.text.count("are read again from their start") == 1

    simulate(scenario)


def test_results_are_followed_on_though_retention_overtook_them() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(echo, "x", key="k")
            broker = Lossy(fleet, client)
            broker.away = True
            for n in range(20):
                await client.submit(echo, str(n), key="k")
            await until(lambda: len(fleet.results(echo)) == 21)
            last = await client.submit(echo, "last", key="k")
            await until(lambda: len(fleet.results(echo)) == 22)
            for number in range(4):
                fleet.log.delete_before(fleet.topics.results("echo"), number, 4)
            broker.away = False
            assert await last.result(20) == "last"
            assert await client.ask(echo, "after", key="k", timeout=20) == "after"

    simulate(scenario)
