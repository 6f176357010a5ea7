"""What the contract suite shares: both logs, topics, and members that write down what they see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.errors import LogError
from streams.ports import GroupConsumer, Log, Record, TopicSpec
from streams.testing.memory import MemoryLog

STEP_S = 0.05


class StepClock:
    """Time of the memory log: it moves with each round of ``until``, or by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def now_micros(self) -> int:
        return 1_767_225_600_000_000 + round(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now

    def boottime(self) -> float:
        return self.now


@dataclass
class Seen:
    """A member of a group: what it owns, what it read, and every rebalance as (what, which)."""

    consumer: GroupConsumer
    start: Callable[[Sequence[int]], Mapping[int, int]]
    owned: set[int] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    errors: list[LogError] = field(default_factory=list)
    events: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    ended: dict[int, int] = field(default_factory=dict)
    """The newest end it was told of, by partition."""

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self.owned |= set(partitions)
        self.events.append(("assign", tuple(sorted(partitions))))
        return self.start(partitions)

    def on_revoke(self, partitions: Sequence[int]) -> None:
        self.owned -= set(partitions)
        self.events.append(("revoke", tuple(sorted(partitions))))

    def on_lost(self, partitions: Sequence[int]) -> None:
        self.owned -= set(partitions)
        self.events.append(("lost", tuple(sorted(partitions))))

    def poll(self) -> None:
        consumed = self.consumer.consume(100, STEP_S)
        self.records += consumed.records
        self.errors += consumed.errors
        self.ended |= {partition: end for (_, partition), end in consumed.ended.items()}

    def moves(self) -> list[tuple[str, tuple[int, ...]]]:
        """The rebalances that changed something."""
        return [event for event in self.events if event[1]]

    def values(self) -> list[bytes | None]:
        return [record.value() for record in self.records]


@pytest.fixture
def clock() -> StepClock:
    """The clock of the memory log; nothing to real Kafka."""
    return StepClock()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def log(request: pytest.FixtureRequest, clock: StepClock) -> Log:
    """The log under test; the real broker is one for the whole run."""
    if request.param == "memory":
        return MemoryLog(clock)
    kafka = request.getfixturevalue("streams_kafka")
    from streams.kafka.log import KafkaLog

    return KafkaLog(kafka.bootstrap)


@pytest.fixture
def until(clock: StepClock) -> Callable[..., None]:
    """``until(condition, *steps)``: make the steps until the condition holds; fails after 30 s."""

    def run(condition: Callable[[], bool], *steps: Callable[[], Any], seconds: float = 30) -> None:
        virtual_end, real_end = clock.now + seconds, time.monotonic() + seconds
        while not condition():
            assert clock.now < virtual_end, "the condition did not come true"
            assert time.monotonic() < real_end, "the condition did not come true"
            for step in steps:
                step()
            clock.now += STEP_S

    return run


@pytest.fixture
def topic_factory(log: Log) -> Callable[..., str]:
    """``topic_factory(partitions=3, **config)``: a new topic, its name."""

    def make(partitions: int = 3, **config: str) -> str:
        name = f"t-{uuid4().hex[:8]}"
        settings = {"message.timestamp.type": "LogAppendTime"}
        settings |= {key.replace("_", "."): value for key, value in config.items()}
        log.admin().create_topics([TopicSpec(name, partitions, settings)])
        return name

    return make


@pytest.fixture
def delete_before(log: Log, request: pytest.FixtureRequest) -> Callable[[str, int, int], None]:
    """``delete_before(topic, partition, offset)``: move the start of a log, as retention does."""
    if isinstance(log, MemoryLog):
        return log.delete_before
    admin = AdminClient({"bootstrap.servers": request.getfixturevalue("streams_kafka").bootstrap})

    def delete(topic: str, partition: int, offset: int) -> None:
        for deleted in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            deleted.result(30)

    return delete


@pytest.fixture
def member_factory(log: Log) -> Iterator[Callable[..., Seen]]:
    """``member_factory(group, topic, slot=None, start=…)``: a subscribed member, closed at the end.

    ``start`` gives the offsets of partitions gained; by default each begins at 0.
    """
    made: list[Seen] = []
    numbers = count(1)

    def from_zero(partitions: Sequence[int]) -> Mapping[int, int]:
        return dict.fromkeys(partitions, 0)

    def make(
        group: str,
        topic: str,
        slot: str | None = None,
        start: Callable[[Sequence[int]], Mapping[int, int]] = from_zero,
    ) -> Seen:
        client_id = f"{group}.{slot or next(numbers)}"
        consumer = log.group_consumer(group=group, topic=topic, client_id=client_id, slot=slot)
        seen = Seen(consumer, start)
        consumer.subscribe(seen)
        made.append(seen)
        return seen

    yield make
    for seen in made:
        seen.consumer.close()


@pytest.fixture
def read_all(log: Log, until: Callable[..., None]) -> Callable[[str], list[bytes | None]]:
    """``read_all(topic)``: the committed values of all partitions up to their ends."""

    def read(topic: str) -> list[bytes | None]:
        partitions = range(log.admin().topics([topic])[topic].partitions)
        reader = log.reader()
        reader.assign({(topic, p): 0 for p in partitions})
        values: list[bytes | None] = []
        ended: set[tuple[str, int]] = set()

        def step() -> None:
            consumed = reader.consume(100, STEP_S)
            values.extend(record.value() for record in consumed.records)
            ended.update(consumed.ended)

        until(lambda: len(ended) == len(partitions), step)
        reader.close()
        return values

    return read
