"""Records whose acknowledgement does not come, on a real broker behind the proxy."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.avro import decode
from streams.catalog import read_all
from streams.client.client import Client
from streams.client.handles import Handle
from streams.clock import SystemClock
from streams.errors import BrokerUnreachable, LogError
from streams.ids import partition_of
from streams.kafka.log import KafkaLog
from streams.ports import Producer, Record, TopicSpec
from streams.records import Task
from streams.settings import Settings
from streams.testing import Kafka
from tests.fault.proxy import PRODUCE, Proxy, Rule

from .fleet import Fleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

IMPATIENT = {"message.timeout.ms": "4000"}
GAP_S = 2.0
"""The second records are this much younger: they have time left when the first have none."""
PATIENCE_S = 20.0
TOPIC = "twice"


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy, Kafka(properties=proxy.properties):
        yield proxy


def losing_replies(proxy: Proxy) -> Rule:
    """From now on the broker's answers to what is produced do not arrive."""
    rule = Rule("reply", frozenset({PRODUCE}), drop=True)
    proxy.rules = [rule]
    return rule


def written(proxy: Proxy, topic: str, partitions: int) -> Iterator[Record]:
    log = KafkaLog(proxy.bootstrap)
    return read_all(log, topic, range(partitions), SystemClock(), pause=time.sleep)


class Reports:
    """A producer, and what it said of each record: the kind of its error, or nothing."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.of: dict[bytes, list[str]] = {}

    def produce(self, partition: int, value: bytes) -> None:
        kinds = self.of[value] = []

        def report(error: LogError | None) -> None:
            kinds.append("" if error is None else error.kind)

        self.producer.produce(TOPIC, partition, None, value, None, report)

    def poll(self, until: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
        end = time.monotonic() + patience_s
        while not until() and time.monotonic() < end:
            self.producer.poll(0.05)
        return until()


def test_what_may_have_been_written_is_not_written_again(proxy: Proxy) -> None:
    KafkaLog(proxy.bootstrap).admin().create_topics([TopicSpec(TOPIC, 2)])
    reports = Reports(KafkaLog(proxy.bootstrap, IMPATIENT).producer())
    lost = losing_replies(proxy)
    reports.produce(0, b"old")
    assert reports.poll(lambda: lost.hits == 1)
    reports.poll(lambda: False, GAP_S)
    reports.produce(1, b"young")
    assert reports.poll(lambda: lost.hits == 2)
    proxy.mend()

    assert reports.poll(lambda: all(reports.of.values()))
    reports.produce(0, b"after")
    reports.produce(1, b"after too")
    assert reports.poll(lambda: all(reports.of.values()))
    reports.producer.close()
    assert reports.of.pop(b"old") == ["_MSG_TIMED_OUT"]
    assert reports.of.pop(b"young") in (["_MSG_TIMED_OUT"], [""])
    assert set(map(tuple, reports.of.values())) == {("",)}
    counts = Counter(record.value() for record in written(proxy, TOPIC, 2))
    assert set(counts.values()) == {1}, counts


def test_each_submit_is_answered_and_no_task_written_twice(proxy: Proxy, tmp_path: Path) -> None:
    fleet = Fleet(proxy.bootstrap, "answered", tmp_path)
    fleet.apply(partitions=2)
    settings = Settings(proxy.bootstrap, "answered", IMPATIENT)
    keys = {partition_of(key.encode(), 2): key for key in "abcdefgh"}

    async def run() -> tuple[Handle[str], list[Handle[str] | BaseException], Handle[str]]:
        async with Client(settings=settings) as client:

            async def submit(number: int, partition: int) -> Handle[str]:
                work = fleet.agent.input(number=number)
                return await client.submit(fleet.agent, work, key=keys[partition])

            def submit_ten(partition: int) -> asyncio.Future[list[Handle[str] | BaseException]]:
                ten = [submit(number, partition) for number in range(10)]
                return asyncio.gather(*ten, return_exceptions=True)

            first = await submit(0, 0)
            lost = losing_replies(proxy)
            old = submit_ten(0)
            await asyncio.sleep(GAP_S)
            hits = lost.hits
            young = submit_ten(1)
            while lost.hits == hits:
                await asyncio.wait([old, young], timeout=0.01)
                assert not young.done()
            proxy.mend()
            return first, await old + await young, await submit(0, 1)

    first, answers, last = asyncio.run(run())
    assert {type(answer) for answer in answers} <= {Handle, BrokerUnreachable}
    assert isinstance(answers[0], BrokerUnreachable)
    assert "may have been written" in answers[0].hint
    handles = [answer for answer in [first, *answers, last] if isinstance(answer, Handle)]
    tasks = written(proxy, fleet.topics.tasks(fleet.agent.name), fleet.partitions)
    counts = Counter(decode(record.value() or b"", Task).task_id for record in tasks)
    fleet.close()
    assert {handle.task_id for handle in handles} <= counts.keys()
    assert set(counts.values()) == {1}, counts
