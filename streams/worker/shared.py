"""What the three parties of a pool share: the consumer's thread, the event loop, the committer."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from streams.core.ledger import Ledger, Ownership, Possession
from streams.errors import StreamsError
from streams.ports import Clock, Committed, Log, Record, Runner, Signal, Tracer
from streams.topics import Topics

log = logging.getLogger("streams.poll")

LATENCY_BOUNDS_MICROS = (
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    600_000_000,
)


@dataclass(slots=True)
class Stats:
    """Plain counters, each written by one thread only; totals since the start."""

    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    retried: int = 0
    dead: int = 0
    commits: int = 0
    aborts: int = 0
    dropped: int = 0
    """Outboxes of possessions that had ended: executed here, answered by another worker."""
    commits_micros: deque[int] = field(default_factory=lambda: deque(maxlen=63))
    """Durations of the last transactions."""
    latency_counts: list[int] = field(
        default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MICROS) + 1)
    )
    """Submit to finish, by LATENCY_BOUNDS_MICROS; the last one is open."""

    @property
    def commit_micros_p50(self) -> int:
        durations = sorted(self.commits_micros)
        return durations[len(durations) // 2] if durations else 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a worker stands on: the ports, and its names."""

    log: Log
    clock: Clock
    runner: Runner
    jitter: Callable[[], float]
    topics: Topics
    slot: str
    static: bool
    """The slot was given, so it is the static member id too."""
    tracer: Tracer | None = None


Batch = list[tuple[Possession, list[Record]]]


class LoopSide(Protocol):
    """The event loop's side of a pool; these are called from the consumer's thread."""

    def deliver(self, batch: Batch) -> None: ...
    def ended(self, possessions: Sequence[Possession]) -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who commits what: one slot of one pool."""

    group: str
    topic: str
    transactional_id: str
    results: str
    own_topics: frozenset[str]


class Shared:
    """The ledger behind its lock, and how the parties wake and stop each other.

    ``lock`` guards ``ledger``; it is never held over a call on the log. ``ownership`` is
    replaced whole by the consumer's thread and read by the committer.
    """

    def __init__(self, ledger: Ledger, committer: Signal, room: Signal) -> None:
        self.lock = threading.Lock()
        self.ledger = ledger
        self.ownership = Ownership()
        self.committer = committer
        self.room = room
        """Wakes the consumer's thread: something was committed, so there may be room."""
        self.to_clear: Mapping[int, Committed] = {}
        """Committed offsets that something hanging of this worker's own id holds back."""
        self.stats = Stats()
        self.stopped: Mapping[int, StreamsError] = {}
        """Partitions that cannot go on, with the reason; replaced whole."""
        self.paused: frozenset[int] = frozenset()
        self.failure: StreamsError | None = None
        """Why the pool as a whole cannot go on."""
        self.in_restore: frozenset[int] = frozenset()
        """Partitions that are being restored."""
        self._woken = False
        self.renewed = 0
        """How often the consumer was replaced by a new one (it fenced itself, or joined anew)."""

    @contextmanager
    def restoring(self, partitions: Collection[int]) -> Generator[None]:
        """These are ours and wait for what their last owner left: for others they have an owner."""
        self.in_restore = frozenset(partitions)
        try:
            yield
        finally:
            self.in_restore = frozenset()

    def wake(self) -> None:
        """Something is finished: wake the committer, once until it has looked."""
        if not self._woken:
            self._woken = True
            self.committer.set()

    def looked(self) -> None:
        """The committer is about to plan: what finishes from now on wakes it again."""
        self._woken = False

    def stop(self, partition: int, error: StreamsError) -> None:
        """This partition goes no further; the others do. The first reason counts."""
        with self.lock:
            if partition in self.stopped:
                return
            self.stopped = {**self.stopped, partition: error}
        log.error("partition %s stops: %s; hint: %s", partition, error.message, error.hint)

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are not ours any more, so neither are their reasons to stop."""
        with self.lock:
            self.stopped = {p: e for p, e in self.stopped.items() if p not in partitions}

    def fail(self, error: StreamsError) -> None:
        """The pool stops; the first reason counts."""
        if self.failure is None:
            self.failure = error
        self.committer.set()
