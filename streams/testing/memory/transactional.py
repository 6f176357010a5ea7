"""The transactional producer with the states and errors of the client library."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Literal, cast

from streams.errors import LogError
from streams.ports import Committed, Headers, Membership, Refusal
from streams.testing.memory.broker import Broker
from streams.testing.memory.calls import Client
from streams.testing.memory.groups import Identity
from streams.testing.runner import SingleThread

METADATA_CHARACTERS_MAX = 4_095

State = Literal["new", "ready", "open", "committing", "abortable", "fatal"]


class MemoryTransactionalProducer:
    """Implements :class:`~streams.ports.TransactionalProducer`.

        new --init--> ready --begin--> open --commit/abort--> ready
        open --abortable error--> abortable --abort--> ready
        open --commit with unknown outcome--> committing --commit--> ready
        any --fatal error--> fatal (every call raises it)

    Records are in the log (invisible) from ``produce`` on; a refused one is reported by
    ``refusals`` and makes the next ``send_offsets`` or ``commit`` fail, as delivery is
    asynchronous in the real client.
    """

    def __init__(self, broker: Broker, client: Client, group: str) -> None:
        self._broker = broker
        self._client = client
        self._id = broker.transactional_id(client.id)
        self._group = broker.group(group)
        self._epoch = -1
        self._state: State = "new"
        self._error: LogError | None = None
        self._refusals: list[Refusal] = []
        self._sequence_broken = False
        self._cut_off = False
        self._own = SingleThread()

    def init(self, timeout_s: float) -> None:
        """Fence every older producer of the same id and end its open transaction."""
        with self._call("init", (timeout_s,), "new"):
            self._id.finish(commit=False, timestamp_ms=self._broker.timestamp_ms)
            self._id.epoch += 1
            self._epoch = self._id.epoch
        self._state = "ready"

    def begin(self) -> None:
        self._own()
        with self._call("begin", (), "ready"):
            self._refusals.clear()
        self._state = "open"

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> None:
        args = (topic, partition, key, value, headers)
        with self._call("produce", args, "open"):
            try:
                with self._broker.faults.around(self._client, "deliver", *args):
                    self._append(topic, partition, key, value, headers)
            except LogError as error:
                self._refusals.append(Refusal(topic, partition, key, value, error))
                # The broker has not seen this sequence number, the client has counted it.
                self._sequence_broken |= error.kind == "MSG_SIZE_TOO_LARGE"

    def send_offsets(
        self, topic: str, offsets: Mapping[int, Committed], membership: Membership
    ) -> None:
        self._own()
        with self._call("send_offsets", (topic, offsets, membership), "open"):
            self._check_records()
            self._id.check(self._epoch)
            identity = cast(Identity, membership.token)
            self._group.check_commit(identity)
            for partition, committed in offsets.items():
                self._broker.storage.partition(topic, partition)
                if len(committed.metadata) > METADATA_CHARACTERS_MAX:
                    raise LogError(
                        "OFFSET_METADATA_TOO_LARGE",
                        abortable=True,
                        topic=topic,
                        partition=partition,
                    )
            self._meet_lateness(
                "send_offsets", lambda: self._late_offsets(topic, offsets, identity)
            )
            self._add_offsets(topic, offsets)

    def flush(self, timeout_s: float) -> None:
        self._own()

    def commit(self, timeout_s: float) -> None:
        self._own()
        try:
            with self._call("commit", (timeout_s,), "open", "committing"):
                self._check_records()
                self._id.check(self._epoch)
                self._meet_lateness("commit", self._late_commit)
                self._id.finish(commit=True, timestamp_ms=self._broker.timestamp_ms)
        except LogError:
            if self._state == "open":
                self._state = "committing"
            raise
        self._state = "ready"

    def abort(self, timeout_s: float) -> None:
        self._own()
        with self._call("abort", (timeout_s,), "open", "abortable"):
            self._id.check(self._epoch)
            self._id.finish(commit=False, timestamp_ms=self._broker.timestamp_ms)
        self._state = "ready"

    def refusals(self) -> list[Refusal]:
        """Delivery errors since ``begin``, in the order in which they were reported."""
        return list(self._refusals)

    def was_cut_off(self) -> bool:
        self._own()
        return self._cut_off

    def destroy(self) -> None:
        """Drop the producer without ending its transaction."""
        self._client.dead = True

    def _meet_lateness(self, method: str, arrive: Callable[[], None]) -> None:
        """If this request is to be late: fail, or send it again over a new connection."""
        late = self._broker.take_late(self._client, method, arrive)
        if late is not None:
            self._cut_off |= late.again
            if not late.again:
                raise LogError("_TIMED_OUT", method)

    def _append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
    ) -> None:
        if self._epoch == self._id.epoch:
            self._broker.append((topic, partition), key, value, headers, self._id)

    def _add_offsets(self, topic: str, offsets: Mapping[int, Committed]) -> None:
        now = self._broker.clock.monotonic()
        for partition, committed in offsets.items():
            self._id.add_offset(self._group, topic, partition, committed, now)

    def _late_offsets(
        self, topic: str, offsets: Mapping[int, Committed], identity: Identity
    ) -> None:
        """A request that the client has given up arrives; nobody hears the answer."""
        with suppress(LogError):
            self._id.check(self._epoch)
            self._group.check_commit(identity)
            self._add_offsets(topic, offsets)

    def _late_commit(self) -> None:
        with suppress(LogError):
            self._id.check(self._epoch)
            self._id.finish(commit=True, timestamp_ms=self._broker.timestamp_ms)

    def _check_records(self) -> None:
        """Raise what went wrong with the records of this transaction."""
        if self._refusals:
            first = self._refusals[0].error
            raise LogError(first.kind, "a record was refused", abortable=True)
        if self._sequence_broken:
            raise LogError("OUT_OF_ORDER_SEQUENCE_NUMBER", abortable=True)

    @contextmanager
    def _call(
        self, method: str, args: tuple[object, ...], *states: State
    ) -> Generator[None, None, None]:
        """A call in one of these states, with its faults; an error moves the state."""
        self._client.require_alive()
        self._broker.advance()
        if self._error is not None and self._state not in states:
            raise self._error
        if self._state not in states:
            raise LogError("_STATE", f"{method} in state {self._state}")
        try:
            with self._broker.faults.around(self._client, method, *args):
                yield
        except LogError as error:
            self._fail(error)
            raise
        self._error = None

    def _fail(self, error: LogError) -> None:
        if error.fatal:
            self._state, self._error = "fatal", error
        elif error.abortable:
            self._state, self._error = "abortable", error
