"""The ports: what the runtime needs of a log, of time and of threads.

``kafka/`` implements the log on real Kafka, ``testing/memory/`` in memory; both pass the
contract suite in ``tests/contract``. Every method raises :class:`~streams.errors.LogError`
and nothing else for what the log refuses, so verdicts are taken on values.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

from streams.errors import LogError
from streams.records import Task

Headers = Sequence[tuple[str, bytes]]
TopicPartition = tuple[str, int]
T = TypeVar("T")
START = -2
"""In place of an offset: where the partition starts when it is read. The Kafka client's own."""
NOTHING_ENDED: Mapping[TopicPartition, int] = MappingProxyType({})


class Record(Protocol):
    """One consumed record; the shape of the Kafka client's message, so that none is copied."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]:
        """(kind, milliseconds since the epoch); kind 2 is the broker's append time."""
        ...


class Consumed(NamedTuple):
    """What one ``consume`` returned: records in offset order per partition, and the rest."""

    records: Sequence[Record]
    errors: Sequence[LogError] = ()
    ended: Mapping[TopicPartition, int] = NOTHING_ENDED
    """Partitions read to their end, and the offset of that end: all that is committed below it
    was delivered, by this call at the latest. Markers and aborted records before it count as
    read. An open transaction is an end too, below the high watermark."""


class Committed(NamedTuple):
    """A committed offset of a group with its metadata (≤ 4,095 characters)."""

    offset: int
    metadata: str


class Bounds(NamedTuple):
    """First existing offset and the offset after the last one (the high watermark)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's identity in its group at one generation; ``token`` is the client's own object."""

    token: object
    generation: int
    member_id: str

    @property
    def valid(self) -> bool:
        """False for a consumer that has not joined: a broker would accept its commits (F2)."""
        return self.generation >= 0 and bool(self.member_id)


class RebalanceListener(Protocol):
    """Called inside ``GroupConsumer.consume``, ``unsubscribe`` and ``close`` only."""

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Partitions gained; returns the offset at which each starts to be fetched."""
        ...

    def on_revoke(self, partitions: Sequence[int]) -> None: ...
    def on_lost(self, partitions: Sequence[int]) -> None: ...


class GroupConsumer(Protocol):
    """A member of a consumer group on one topic (cooperative-sticky, read_committed).

    Only one thread may call it. It never commits: progress goes through transactions.
    ``Consumed.ended`` names each partition whenever its current end is reached.
    """

    def subscribe(self, listener: RebalanceListener) -> None: ...
    def consume(self, records_max: int, timeout_s: float) -> Consumed: ...
    def membership(self) -> Membership: ...
    def pause(self, partitions: Iterable[int]) -> None: ...
    def resume(self, partitions: Iterable[int]) -> None: ...
    def unsubscribe(self) -> None:
        """Leave the group (a static member too)."""
        ...

    def close(self) -> None:
        """Release everything; a static member that did not unsubscribe keeps its partitions."""
        ...


class Refusal(NamedTuple):
    """A produced record that the log refused, with the reason."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    error: LogError


class TransactionalProducer(Protocol):
    """Writes records and group offsets atomically. Only one thread may call it."""

    def init(self, timeout_s: float) -> None:
        """Fence every older producer of the same id and end its open transaction."""
        ...

    def begin(self) -> None: ...
    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> None: ...
    def send_offsets(
        self, topic: str, offsets: Mapping[int, Committed], membership: Membership
    ) -> None: ...
    def flush(self, timeout_s: float) -> None:
        """Wait until what was produced is written or refused."""
        ...

    def commit(self, timeout_s: float) -> None: ...
    def abort(self, timeout_s: float) -> None: ...
    def refusals(self) -> list[Refusal]:
        """Delivery errors since ``begin``, in the order in which they were reported."""
        ...

    def was_cut_off(self) -> bool:
        """Whether it ever lost a connection: what was under way there may arrive later."""
        ...

    def destroy(self) -> None:
        """Drop the producer without ending its transaction."""
        ...


class Producer(Protocol):
    """An idempotent producer outside transactions. Any thread may produce, one does the rest.

    A record that is not acknowledged in time is reported as ``_MSG_TIMED_OUT`` with all that is
    under way: each may be in the log, once. What is produced afterwards is not touched by it.
    """

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        on_delivery: Callable[[LogError | None], None] | None = None,
    ) -> None:
        """Enqueue; raises LogError ``_QUEUE_FULL`` when its buffer is full (poll, then retry)."""
        ...

    def poll(self, timeout_s: float) -> int:
        """Serve delivery callbacks; returns how many."""
        ...

    def flush(self, timeout_s: float) -> int:
        """Wait until all is delivered; returns how many are still under way."""
        ...

    def close(self) -> None: ...


class Reader(Protocol):
    """Reads partitions by assignment, without a group, read_committed.

    ``Consumed.ended`` names each partition whenever its current end is reached. One whose log has
    not the offset to go on from (any more) is named by one ``_AUTO_OFFSET_RESET``, and is read no
    further until it was left out of an assignment.
    """

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions, each from its offset or START; replaces what was."""
        ...

    def consume(self, records_max: int, timeout_s: float) -> Consumed: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be; ``config`` in the broker's own words."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as it is."""

    name: str
    partitions: int
    replication: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group as the broker describes it."""

    member_id: str
    client_id: str
    instance_id: str
    host: str
    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group as the broker describes it; ``state`` is lower case, ``dead`` if unknown."""

    name: str
    state: str
    members: tuple[Member, ...]


class Admin(Protocol):
    """Asks about and changes topics, groups and offsets. Any thread may call it."""

    def brokers(self) -> dict[int, str]:
        """The brokers of the cluster by number, each as ``host:port``, from fresh metadata."""
        ...

    def default_replication(self) -> int:
        """Replicas of each partition of a topic that is made now."""
        ...

    def topics(self, names: Iterable[str] | None = None) -> dict[str, TopicInfo]:
        """The topics that exist, from fresh metadata; a missing name is missing in the result.

        LogError for a name that is hidden from this user.
        """
        ...

    def topic_config(self, name: str) -> dict[str, str]: ...
    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create all, with the cluster's default replication; LogError names the topic."""
        ...

    def bounds(self, topic: str, partitions: Iterable[int]) -> dict[int, Bounds]: ...
    def offsets_at(
        self, topic: str, partitions: Iterable[int], timestamp_ms: int
    ) -> dict[int, int]:
        """First offset appended at or after the time; the end where there is none."""
        ...

    def committed(
        self, group: str, topic: str, partitions: Iterable[int], *, stable: bool = True
    ) -> dict[int, Committed | None]:
        """What the group committed; None where it never did.

        With ``stable``, LogError ``UNSTABLE_OFFSET_COMMIT`` while a transaction holds an offset.
        """
        ...

    def committed_in_log(
        self, group: str, topic: str, partitions: Iterable[int]
    ) -> dict[int, Committed | None]:
        """What the group committed, from the log of its coordinator and not from its memory.

        Slow. LogError ``UNSTABLE_OFFSET_COMMIT`` while a transaction holds an offset.
        """
        ...

    def set_committed(self, group: str, topic: str, offsets: Mapping[int, Committed]) -> None:
        """Overwrite a group's offsets; LogError if the group has members."""
        ...

    def groups(self) -> list[str]: ...
    def group(self, name: str) -> GroupInfo: ...


class Log(Protocol):
    """A Kafka-like log: the factory of everything that talks to it."""

    def group_consumer(
        self, *, group: str, topic: str, client_id: str, slot: str | None
    ) -> GroupConsumer:
        """A consumer; with a ``slot`` it is a static member of that instance id."""
        ...

    def transactional_producer(
        self, transactional_id: str, *, group: str
    ) -> TransactionalProducer: ...
    def producer(self) -> Producer: ...
    def reader(self) -> Reader: ...
    def admin(self) -> Admin: ...


class Tracer(Protocol):
    """Follows tasks across processes; where none is given, nothing is spent on it.

    ``start`` and ``end`` never raise: what is wrong with a span is no matter of its task.
    """

    def headers(self) -> Headers | None:
        """The trace context to send along with a task that is submitted here."""
        ...

    def start(self, task: Task, attempt: int, headers: Headers | None) -> object | None:
        """A span for an attempt, current in the calling asyncio task; None if not sampled."""
        ...

    def end(self, span: object, error: BaseException | None) -> None: ...


class Clock(Protocol):
    """All time of the runtime."""

    def now_micros(self) -> int:
        """Wall clock, microseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds; never goes back; the event loop's ``time()``."""
        ...

    def boottime(self) -> float:
        """Seconds that go on while the machine sleeps or the process is stopped."""
        ...


class Signal(Protocol):
    """Wakes one waiting stepper; setting it twice wakes once."""

    def set(self) -> None: ...


class Wait(NamedTuple):
    """A stepper has nothing to do until ``signal`` is set or ``seconds`` passed."""

    signal: Signal
    seconds: float


Stepper = Generator[Wait | None, None, None]
"""A runtime part as steps: between two yields it makes calls on the log. ``None`` is a point
where others may run, die or freeze (a simulation interleaves there); a thread just goes on."""


class Running(Protocol):
    """A stepper under way; ``error`` is what ended it, if not its own end."""

    @property
    def error(self) -> BaseException | None: ...

    def alive(self) -> bool: ...
    def join(self, timeout_s: float) -> bool:
        """Wait for its end (from another stepper or thread); True if it ended."""
        ...


class Runner(Protocol):
    """Drives steppers: on threads in production, on the event loop in the Fleet."""

    def signal(self) -> Signal: ...
    def spawn(self, name: str, stepper: Stepper) -> Running: ...
    async def call(self, function: Callable[[], T]) -> T:
        """Run a blocking function without blocking the event loop."""
        ...

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float, tick: Callable[[], None]
    ) -> bool:
        """Block the calling stepper until the condition holds while the others go on.

        ``tick`` is called about every 50 ms. Returns whether the condition held in time.
        """
        ...
