"""Who calls the Kafka client: one thread a consumer, one thread a transaction."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from streams import Context, Worker, agent
from streams.core.offsets import decode
from streams.kafka.consumer import KafkaGroupConsumer
from streams.kafka.producer import KafkaTransactionalProducer
from streams.settings import Settings
from streams.testing import Fleet

pytestmark = pytest.mark.integration

CONSUMER = ("subscribe", "consume", "membership", "pause", "resume", "unsubscribe", "close")
TRANSACTION = ("begin", "produce", "send_offsets", "commit", "abort", "destroy")


@agent
async def work(ctx: Context, number: int) -> int:
    await asyncio.sleep(0.01)
    return number


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[str]]:
    """The names of the threads that called each consumer and producer, by its identity."""
    found: dict[int, set[str]] = defaultdict(set)
    kept: list[object] = []  # so that no identity comes twice

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def caller(self: object, *args: Any, **kwargs: Any) -> Any:
            kept.append(self)
            found[id(self)].add(threading.current_thread().name)
            return call(self, *args, **kwargs)

        return caller

    for kind, methods in (
        (KafkaGroupConsumer, CONSUMER),
        (KafkaTransactionalProducer, TRANSACTION),
    ):
        for method in methods:
            monkeypatch.setattr(kind, method, watched(getattr(kind, method)))
    return found


def test_one_thread_each_touches_the_consumer_and_the_transactions(
    kafka: str, callers: dict[int, set[str]]
) -> None:
    """A second thread at the consumer would wait for seconds; one at the producer would join in."""

    async def run() -> None:
        async with Fleet(work, kafka=kafka, workers=2) as client:
            batch = await client.submit_many(work, range(200), key=lambda n: f"k{n % 20}")
            assert len([result async for result in batch]) == 200

    asyncio.run(run())
    assert sorted(callers.values(), key=str) == [{"commit-work"}] * 2 + [{"poll-work"}] * 2


def threads() -> set[str]:
    """Those of a worker of this agent that are alive."""
    names = {thread.name for thread in threading.enumerate()}
    return names & {"poll-work", "commit-work", "heartbeat", "balance"}


def test_a_worker_that_is_cancelled_leaves_its_group_and_no_thread(kafka: str) -> None:
    fleet = Fleet(work, kafka=kafka)

    async def run() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            await host.stop()
            assert not threads()
            settings = Settings(kafka, fleet.topics.prefix)
            joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            running = asyncio.create_task(Worker([work], settings=settings).run(joined))
            await joined
            assert await client.ask(work, 1) == 1
            assert threads() == {"poll-work", "commit-work", "heartbeat", "balance"}
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert not threads()
            assert not fleet.log.admin().group(fleet.topics.group("work")).members
            maps = fleet.log.admin().committed(
                fleet.topics.group("work"), fleet.topics.tasks("work"), range(4)
            )
            assert all(decode(c.offset, c.metadata).released for c in maps.values() if c)

    asyncio.run(run())
