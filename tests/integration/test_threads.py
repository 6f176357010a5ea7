"""Who calls the Kafka client: one thread a consumer, one thread a transaction."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from streams import Context, agent
from streams.kafka.consumer import KafkaGroupConsumer
from streams.kafka.producer import KafkaTransactionalProducer
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
