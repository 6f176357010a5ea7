"""The client's thread: whatever ends it, nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from streams.client import deliver
from streams.client.deliver import Deliverer
from streams.errors import BrokerUnreachable, LogError, StreamsError
from streams.ports import Runner
from streams.threads import ThreadRunner

PATIENCE_S = 20.0


class Broken:
    """A producer whose ``poll`` is broken; its ``close`` reports what is left, as it must."""

    def __init__(self) -> None:
        self.reports: list[Callable[[LogError | None], None]] = []
        self.closed = False

    def produce(self, topic, partition, key, value, headers, on_delivery) -> None:
        if self.closed:
            raise RuntimeError("closed")
        self.reports.append(on_delivery)

    def poll(self, timeout_s: float) -> int:
        raise RuntimeError("out of order")

    def close(self) -> None:
        self.closed = True
        reports, self.reports = self.reports, []
        for report in reports:
            report(LogError("_MSG_TIMED_OUT", "given up"))


def deliverer(runner: Runner) -> Deliverer:
    return Deliverer(SimpleNamespace(producer=Broken), runner)  # type: ignore[arg-type]


def produce(of: Deliverer) -> asyncio.Task[asyncio.Future[None]]:
    return asyncio.create_task(of.produce("t", 0, b"k", b"v"))


def test_who_waits_when_the_thread_dies_is_told_and_so_is_who_comes_later() -> None:
    async def run() -> None:
        runner = ThreadRunner()
        of = deliverer(runner)
        confirmed = [await produce(of), await produce(of)]
        running = runner.spawn("deliver", of.run())
        async with asyncio.timeout(PATIENCE_S):
            for future in confirmed:
                with pytest.raises(BrokerUnreachable, match="not acknowledged"):
                    await future
            assert await runner.call(lambda: running.join(PATIENCE_S))
            with pytest.raises(StreamsError, match="out of order"):
                await produce(of)

    asyncio.run(run())


def test_who_waits_for_room_when_the_thread_dies_is_told(monkeypatch) -> None:
    monkeypatch.setattr(deliver, "UNCONFIRMED_MAX", 1)

    async def run() -> None:
        runner = ThreadRunner()
        of = deliverer(runner)
        await produce(of)
        waits = produce(of)
        await asyncio.sleep(0)
        assert not waits.done()
        runner.spawn("deliver", of.run())
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(StreamsError, match="out of order"):
                await waits

    asyncio.run(run())
