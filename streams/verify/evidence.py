"""What the topics say, reduced to what the rules compare."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple, TypeVar, cast

from streams.avro import decode, learn
from streams.catalog import read_all
from streams.clock import SystemClock
from streams.errors import DataLost, RecordUndecodable, TopicMissing
from streams.ports import Committed, Log, Record, TopicPartition
from streams.records import AgentCard, Cost, DeadLetter, Result, Status
from streams.submission import read_task
from streams.topics import Topics

R = TypeVar("R")


class Source(NamedTuple):
    """A record of a task topic; ``task_id`` is None if it is no task."""

    place: TopicPartition
    offset: int
    key: bytes | None
    checksum: int
    """CRC-32 of the record's value."""
    task_id: str | None = None
    input_hash: str = ""
    attempt: int = 1
    parent_task_id: str | None = None
    redrive_of: str | None = None
    deadline: int = 0
    appended_ms: int = 0
    """When the broker took the record."""

    @property
    def where(self) -> str:
        return self.task_id or at(self.place, self.offset)


class Ended(NamedTuple):
    """A result."""

    task_id: str
    place: TopicPartition
    """Topic and partition of the task, as the result says."""
    offset: int
    partition: int
    """Where the result itself is."""
    status: Status
    reason: str
    agent: str
    agent_version: str
    attempt: int
    started_at: int
    finished_at: int
    cost_micros: int
    tenant: str
    input_hash: str | None
    worker_id: str
    appended_ms: int
    """When the broker took the result."""


class Dead(NamedTuple):
    """A dead letter."""

    place: TopicPartition
    offset: int
    task_id: str | None
    reason: str
    checksum: int


@dataclass(slots=True)
class Evidence:
    """All that was read."""

    sources: dict[TopicPartition, dict[int, Source]] = field(
        default_factory=dict[TopicPartition, dict[int, Source]]
    )
    tasks: dict[str, Source] = field(default_factory=dict[str, Source])
    tasks_again: list[Source] = field(default_factory=list[Source])
    results: dict[str, Ended] = field(default_factory=dict[str, Ended])
    results_again: list[Ended] = field(default_factory=list[Ended])
    dead: list[Dead] = field(default_factory=list[Dead])
    cost_ids: set[str] = field(default_factory=set[str])
    costs_again: list[str] = field(default_factory=list[str])
    """Task ids of costs whose id was there before."""
    costs: dict[str, int] = field(default_factory=dict[str, int])
    """Sum of the costs of each task."""
    costs_by_agent: dict[str, int] = field(default_factory=dict[str, int])
    costs_by_tenant: dict[str, int] = field(default_factory=dict[str, int])
    unreadable: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(where, why) of records of ours that cannot be read."""
    committed: dict[TopicPartition, Committed | None] = field(
        default_factory=dict[TopicPartition, Committed | None]
    )
    attempts_max: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """By agent and version."""
    unordered: set[str] = field(default_factory=set[str])
    """Agents that promise no order per key."""


def input_hash(data: bytes) -> str:
    """The hash of a task's input bytes as results echo it: CRC-32, 8 hexadecimal digits."""
    return f"{zlib.crc32(data):08x}"


def at(place: TopicPartition, offset: int) -> str:
    """How a record is named to people."""
    return f"{place[0]}[{place[1]}]@{offset}"


def gather(
    log: Log,
    topics: Topics,
    pools: Sequence[str],
    *,
    stable: bool = True,
    pause: Callable[[float], object] | None = None,
) -> Evidence:
    """Read everything there is; DataLost if the log does not begin at offset 0 any more.

    LogError while an open transaction holds an offset of a pool, unless ``stable`` is false: then
    it is what was committed before. What is hidden behind an open transaction is not read, but
    with ``pause`` (waits the seconds given) its end is waited for.
    """
    collector = _Collector(log, topics, stable, pause)
    collector.learn()
    for pool in pools:
        collector.tasks(pool)
    for pool in pools:
        collector.results(pool)
        collector.dead(pool)
        collector.offsets(pool)
    collector.costs()
    return collector.evidence


class _Collector:
    def __init__(
        self, log: Log, topics: Topics, stable: bool, pause: Callable[[float], object] | None
    ) -> None:
        self._log = log
        self._topics = topics
        self._stable = stable
        self._pause = pause
        self._admin = log.admin()
        self._exists = self._admin.topics()
        self.evidence = Evidence()

    def learn(self) -> None:
        for record in self._read(self._topics.schemas, compacted=True):
            learn((record.value() or b"").decode())
        for record in self._read(self._topics.agents, compacted=True):
            card = self._decode(record, AgentCard)
            if card is not None:
                version = (card.agent, card.agent_version)
                known = self.evidence.attempts_max.get(version, 0)
                self.evidence.attempts_max[version] = max(known, card.attempts)
                if card.ordering == "none":
                    self.evidence.unordered.add(card.agent)

    def tasks(self, pool: str) -> None:
        evidence = self.evidence
        topic = self._topics.tasks(pool)
        for record in self._read(topic):
            source = _source(record)
            evidence.sources.setdefault(source.place, {})[source.offset] = source
            if source.task_id is None:
                continue
            if source.task_id in evidence.tasks:
                evidence.tasks_again.append(source)
            else:
                evidence.tasks[source.task_id] = source

    def results(self, pool: str) -> None:
        evidence = self.evidence
        for record in self._read(self._topics.results(pool)):
            result = cast(Result[bytes] | None, self._decode(record, Result))
            if result is None:
                continue
            ended = _ended(result, record)
            if ended.task_id in evidence.results:
                evidence.results_again.append(ended)
            else:
                evidence.results[ended.task_id] = ended

    def dead(self, pool: str) -> None:
        for record in self._read(self._topics.dead(pool)):
            letter = self._decode(record, DeadLetter)
            if letter is not None:
                place = (intern(letter.source_topic), letter.source_partition)
                omitted = letter.value_hash
                checksum = int(omitted, 16) if omitted else zlib.crc32(letter.value or b"")
                self.evidence.dead.append(
                    Dead(place, letter.source_offset, letter.task_id, letter.reason, checksum)
                )

    def costs(self) -> None:
        evidence = self.evidence
        for record in self._read(self._topics.costs):
            cost = self._decode(record, Cost)
            if cost is None:
                continue
            if cost.cost_id in evidence.cost_ids:
                evidence.costs_again.append(cost.task_id)
            evidence.cost_ids.add(cost.cost_id)
            for sums, name in (
                (evidence.costs, cost.task_id),
                (evidence.costs_by_agent, cost.agent),
                (evidence.costs_by_tenant, cost.tenant),
            ):
                sums[name] = sums.get(name, 0) + cost.amount_micros

    def offsets(self, pool: str) -> None:
        topic = self._topics.tasks(pool)
        partitions = range(self._exists[topic].partitions)
        group = self._topics.group(pool)
        committed = self._admin.committed(group, topic, partitions, stable=self._stable)
        self.evidence.committed.update(((topic, p), committed[p]) for p in partitions)

    def _read(self, topic: str, *, compacted: bool = False) -> Iterator[Record]:
        info = self._exists.get(topic)
        if info is None:
            raise TopicMissing(f"topic '{topic}' does not exist", hint="check prefix and pools")
        partitions = range(info.partitions)
        for partition, bounds in self._admin.bounds(topic, partitions).items():
            if bounds.start > 0 and not compacted:
                raise DataLost(
                    f"{topic}[{partition}] begins at offset {bounds.start}: what was deleted "
                    "cannot be checked",
                    hint="check within the retention of the topics",
                )
        return read_all(self._log, topic, partitions, SystemClock(), pause=self._pause)

    def _decode(self, record: Record, kind: type[R]) -> R | None:
        try:
            return decode(record.value() or b"", kind)
        except RecordUndecodable as error:
            place = (record.topic(), record.partition())
            self.evidence.unreadable.append((at(place, record.offset()), error.message))
            return None


def _source(record: Record) -> Source:
    place = (intern(record.topic()), record.partition())
    offset, key, value = record.offset(), record.key(), record.value() or b""
    checksum = zlib.crc32(value)
    try:
        task = read_task(key, value)
    except RecordUndecodable:
        return Source(place, offset, key, checksum)
    return Source(
        place,
        offset,
        key,
        checksum,
        task.task_id,
        input_hash(task.input),
        task.attempt,
        task.parent_task_id,
        task.redrive_of,
        task.deadline,
        record.timestamp()[1],
    )


def _ended(result: Result[bytes], record: Record) -> Ended:
    return Ended(
        result.task_id,
        (intern(result.source_topic), result.source_partition),
        result.source_offset,
        record.partition(),
        result.status,
        intern(result.reason),
        intern(result.agent),
        intern(result.agent_version),
        result.attempt,
        result.started_at,
        result.finished_at,
        result.cost_micros,
        intern(result.tenant),
        result.input_hash,
        intern(result.worker_id),
        record.timestamp()[1],
    )
