"""Reads along while a deployment runs: who beats and owns what, what ended, what is open."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from streams.avro import decode
from streams.errors import RecordUndecodable
from streams.ports import Log, Record
from streams.records import DeadLetter, Heartbeat, Result, Task
from streams.topics import Topics


class Beat(NamedTuple):
    """A heartbeat as the log took it; milliseconds since the epoch, by the broker's clock."""

    pid: int
    slot: str
    appended_ms: int
    beat: Heartbeat


class Follower:
    """Follows the topics of a deployment from their start, in a thread of its own."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        pools: Sequence[str],
        partitions: int,
        answered: Callable[[str], None],
    ) -> None:
        """``answered`` is called with the task id of each result of the first pool."""
        self._log = log
        self._topics = topics
        self._main = pools[0]
        self._answered = answered
        names = [make(pool) for pool in pools for make in (topics.results, topics.dead)]
        names += [topics.tasks(pool) for pool in pools[1:]]
        self._places = [(name, p) for name in names for p in range(partitions)]
        self._places.append((topics.heartbeats, 0))
        self.beats: list[Beat] = []
        self.newest: dict[int, Beat] = {}
        """By process."""
        self.ended_per_second: Counter[int] = Counter()
        """Results by the second of their append."""
        self.open: set[str] = set()
        """Caused tasks without a result."""
        self.undecodable = 0
        """Dead letters of records that are no tasks."""
        self.results = 0
        self._ending = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="follower")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def owned(self, pid: int, since: float) -> frozenset[int]:
        """Partitions of the first pool that the process owns, as its newest heartbeat says.

        An older one than ``since`` is of another process that had the same number.
        """
        seen = self.newest.get(pid)
        if seen is None or seen.appended_ms < since * 1_000:
            return frozenset()
        return frozenset(p for b in seen.beat.pools if b.agent == self._main for p in b.partitions)

    def _run(self) -> None:
        reader = self._log.reader()
        try:
            reader.assign(dict.fromkeys(self._places, 0))
            while not self._ending.is_set():
                for record in reader.consume(2_000, 0.05).records:
                    with suppress(RecordUndecodable):
                        self._take(record)
        except BaseException as error:
            self.error = error
            raise
        finally:
            reader.close()

    def _take(self, record: Record) -> None:
        topic, value = record.topic(), record.value() or b""
        if topic == self._topics.heartbeats:
            beat = decode(value, Heartbeat)
            seen = Beat(beat.pid, beat.slot, record.timestamp()[1], beat)
            self.beats.append(seen)
            self.newest[beat.pid] = seen
        elif topic.startswith(self._topics.tasks("")):
            # A task and its result are on two topics, so either may be read first.
            self.open ^= {decode(value, Task).task_id}
        elif topic.startswith(self._topics.dead("")):
            self.undecodable += decode(value, DeadLetter).task_id is None
        else:
            ended = decode(value, Result)
            self.results += 1
            self.ended_per_second[record.timestamp()[1] // 1000] += 1
            if topic == self._topics.results(self._main):
                self._answered(ended.task_id)
            else:
                self.open ^= {ended.task_id}
