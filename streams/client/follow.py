"""Follows result partitions for one client: one reader, without a group."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from typing import cast
from weakref import WeakValueDictionary

from streams.avro import decode, first_text, is_known
from streams.catalog import Catalog
from streams.errors import LogError, RecordUndecodable, StreamsError
from streams.ports import START, Log, Reader, Record, Runner, Stepper, TopicPartition, Wait
from streams.records import Result

log = logging.getLogger("streams.client")

POLL_S = 0.05
BATCH_MAX = 2_000
AGAIN_S = 0.5
OFFSET_GONE = "_AUTO_OFFSET_RESET"
DENIED = "TOPIC_AUTHORIZATION_FAILED"


class Awaited:
    """Someone waits for the result of one task; dropped when nobody holds it any more."""

    __slots__ = ("__weakref__", "future", "given_up", "task_id", "topic")

    def __init__(self, task_id: str, topic: str, loop: asyncio.AbstractEventLoop) -> None:
        self.task_id = task_id
        self.topic = topic
        """Where its result comes."""
        self.future: asyncio.Future[Result[bytes]] = loop.create_future()
        self.given_up = False

    def give_up(self, why: StreamsError) -> None:
        """It does not come: whoever waits, now or later, is told why."""
        if not self.future.done():
            self.given_up = True
            self.future.set_exception(why)
            self.future.exception()  # seen: nobody may wait for this one


class Follower:
    """Resolves what is awaited, as the results come in. ``run`` is its stepper."""

    def __init__(self, source: Log, catalog: Catalog, runner: Runner) -> None:
        self._reader: Reader = source.reader()
        self._again_soon = runner.signal()
        self._catalog = catalog
        self._loop = asyncio.get_running_loop()
        self._awaited: WeakValueDictionary[str, Awaited] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._wanted: dict[TopicPartition, int] = {}
        self._assigned: dict[TopicPartition, int] = {}
        self._again: set[TopicPartition] = set()
        """To be read once more, also from the offset where reading began before."""
        self._denied: set[str] = set()
        """Topics that could not be read when they were asked for last."""
        self._failure: StreamsError | None = None
        """What ended ``run`` before it was stopped."""
        self._stopping = False

    def follows(self, topic: str, partition: int) -> bool:
        """Whether results of this partition are read already."""
        return (topic, partition) in self._wanted

    def follow(self, offsets: dict[TopicPartition, int]) -> None:
        """Read these partitions too, each from its offset."""
        with self._lock:
            for where, offset in offsets.items():
                self._wanted.setdefault(where, offset)

    def rewind(self, offsets: dict[TopicPartition, int]) -> None:
        """Read these partitions again from an earlier offset."""
        with self._lock:
            for where, offset in offsets.items():
                self._wanted[where] = min(offset, self._wanted.get(where, offset))
                self._again.add(where)

    def await_result(self, task_id: str, topic: str) -> Awaited:
        """Register for the result of a task in this topic; call it before the task is produced."""
        awaited = self._awaited.get(task_id)
        if awaited is None or awaited.given_up:
            awaited = self._awaited[task_id] = Awaited(task_id, topic, self._loop)
            if self._failure is not None:
                awaited.give_up(self._failure)
            elif topic in self._denied:
                self._ask_again(topic)
        return awaited

    def _ask_again(self, topic: str) -> None:
        """Whether the topic may be read by now: if not, that is said again."""
        with self._lock:
            self._denied.discard(topic)
            self._again.update(where for where in self._wanted if where[0] == topic)

    def stop(self) -> None:
        self._stopping = True
        self._again_soon.set()

    def run(self) -> Stepper:
        """Read until stopped; if it ends before, so does everybody's waiting."""
        try:
            while not self._stopping:
                self._assign()
                consumed = self._reader.consume(BATCH_MAX, POLL_S)
                for error in consumed.errors:
                    self._note(error)
                yield from self._know_schemas(consumed.records)
                found = self._results(consumed.records)
                if found:
                    self._loop.call_soon_threadsafe(self._resolve, found)
                yield None
        except Exception as error:
            self._failure = StreamsError(f"the reader died: {error!r}", hint="this is a bug")
            self._give_up(self._failure)
            raise
        finally:
            self._reader.close()

    def _assign(self) -> None:
        with self._lock:
            wanted = dict(self._wanted)
            again, self._again = self._again & self._assigned.keys(), set()
        if again:
            self._reader.assign({w: o for w, o in self._assigned.items() if w not in again})
        if again or wanted != self._assigned:
            self._reader.assign(wanted)
            self._assigned = wanted

    def _note(self, error: LogError) -> None:
        """Read a partition anew whose log has lost the place where reading was.

        From its start: a broker that comes back without the tail of its log has perhaps written
        results since, below where they were read to. From any later offset they could be missed,
        and who awaits one would wait for ever.
        """
        topic, partition = error.topic, error.partition
        if error.kind == DENIED and topic is not None:
            # Said once, then silence: waiting would not help.
            self._denied.add(topic)
            self._give_up(error, topic)
        if error.kind != OFFSET_GONE or topic is None or partition is None:
            log.info("following results: %s", error)
            return
        log.warning("following results: %s; they are read again from their start", error)
        with self._lock:
            self._wanted[topic, partition] = START
            self._again.add((topic, partition))

    def _know_schemas(self, records: Iterable[Record]) -> Stepper:
        """Read the schemas topic if a record needs it; again and again while no broker answers.

        Giving up would leave everyone who awaits a result waiting for ever.
        """
        while not self._stopping and not all(is_known(r.value() or b"") for r in records):
            try:
                self._catalog.learn_schemas()
                return
            except StreamsError as error:
                log.info("reading the schemas of results: %s", error)
            yield Wait(self._again_soon, AGAIN_S)

    def _results(self, records: Iterable[Record]) -> list[Result[bytes]]:
        """Those that somebody may wait for: most are of tasks that others submitted."""
        found: list[Result[bytes]] = []
        for record in records:
            value = record.value() or b""
            task_id = first_text(value, Result)
            if task_id is not None and task_id not in self._awaited:
                continue
            try:
                result = cast("Result[bytes]", decode(value, Result))
            except RecordUndecodable as error:
                log.warning("a result cannot be read: %s", error)
            else:
                found.append(result)
        return found

    def _give_up(self, why: StreamsError, topic: str | None = None) -> None:
        """End the waiting for results of a topic, or for all of them."""

        def tell() -> None:
            for awaited in list(self._awaited.values()):
                if topic is None or awaited.topic == topic:
                    awaited.give_up(why)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)

    def _resolve(self, results: list[Result[bytes]]) -> None:
        for result in results:
            awaited = self._awaited.get(result.task_id)
            if awaited is not None and not awaited.future.done():
                awaited.future.set_result(result)
