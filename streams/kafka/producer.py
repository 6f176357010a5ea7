"""Producers: the transactional one of a slot, and the plain idempotent one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import confluent_kafka as ck
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streams.errors import LogError
from streams.kafka import config
from streams.kafka.errors import (
    CLIENT_LOGGER,
    CLUSTER_DENIED,
    GROUP_DENIED,
    ID_DENIED,
    LOGGER,
    TOPIC_DENIED,
    log_error,
    raised,
)
from streams.ports import Committed, Headers, Membership, Refusal

OFFSETS_TIMEOUT_S = config.TRANSACTION_TIMEOUT_MS / 1000
QUEUE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
RETRY_S = 0.01
POLL_MAX_S = 0.1
"""A longer poll and a flush go on behind the fatal error that they are to raise: the binding (2.16)
calls back with an exception set then, and the next report is lost."""
SLOTS = 100
"""How exactly a plain producer knows the age of its oldest record: to 1/SLOTS of its patience."""
UNKNOWN_KINDS = frozenset(
    {"_PURGE_QUEUE", "_PURGE_INFLIGHT", "OUT_OF_ORDER_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID"}
)
"""Errors that do not say whether a record was written."""
CALL_MIN_S = 0.5
"""No call is made again with less time than this. With none left the client forgets which call is
under way, and when the outcome of a commit comes afterwards it aborts the whole process (an
assertion in ``rd_kafka_txn_set_state`` of librdkafka 2.16)."""


class KafkaTransactionalProducer:
    """Implements :class:`~streams.ports.TransactionalProducer`.

    A record that the client itself refuses (too large, no such partition) ends like one that
    the broker refuses: it is among the refusals, and ``send_offsets`` and ``commit`` fail.
    """

    def __init__(self, settings: config.Config, group: str) -> None:
        self._rights = {
            ID_DENIED: f"WRITE on transactional id '{settings['transactional.id']}'",
            GROUP_DENIED: f"READ on group '{group}'",
        }
        self._refusals: list[Refusal] = []
        self._refused_here: LogError | None = None
        self._destroyed = False
        self._lines = _Lines()
        settings = {**settings, "on_delivery": self._report}
        self._client = config.make(ck.Producer, settings, self._lines)

    def init(self, timeout_s: float) -> None:
        """Fence every older producer of the same id and end its open transaction."""
        _repeat(self._client.init_transactions, timeout_s, self._rights)

    def begin(self) -> None:
        self._refusals.clear()
        self._refused_here = None
        try:
            self._client.begin_transaction()
        except KafkaException as exception:
            raise raised(exception) from exception

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> None:
        try:
            self._client.produce(
                topic, value, key, partition, headers=list(headers) if headers else None
            )
        except BufferError:
            self._produce_when_room(topic, partition, key, value, headers)
        except KafkaException as exception:
            self._refuse(exception, topic, partition, key, value)

    def send_offsets(
        self, topic: str, offsets: Mapping[int, Committed], membership: Membership
    ) -> None:
        self._require_complete()
        positions = [TopicPartition(topic, p, c.offset, c.metadata) for p, c in offsets.items()]

        def send(timeout_s: float) -> None:
            self._client.send_offsets_to_transaction(positions, membership.token, timeout_s)

        _repeat(send, OFFSETS_TIMEOUT_S, self._rights)

    def flush(self, timeout_s: float) -> None:
        _serve(self._client.flush, timeout_s)

    def commit(self, timeout_s: float) -> None:
        self._require_complete()
        _repeat(self._client.commit_transaction, timeout_s, self._rights)

    def abort(self, timeout_s: float) -> None:
        _repeat(self._client.abort_transaction, timeout_s, self._rights)

    def refusals(self) -> list[Refusal]:
        """Delivery errors since ``begin``, in the order in which they were reported."""
        return list(self._refusals)

    def was_cut_off(self) -> bool:
        # Its lines come with a poll, in the order in which things happened.
        try:
            _serve(self._client.poll, 0)
        except LogError:
            return True  # fatal: nothing is known of what was under way either
        return self._lines.told_of_a_cut

    def destroy(self) -> None:
        """Drop the producer without ending its transaction."""
        if self._destroyed:
            return
        self._destroyed = True
        self._client.purge()
        # ``close`` would abort the transaction and wait for the answer; the end of the last
        # reference does neither.
        del self._client

    def _produce_when_room(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
    ) -> None:
        """The client's buffer is full: let it deliver, then try again."""
        end = time.monotonic() + QUEUE_TIMEOUT_S
        while time.monotonic() < end:
            _serve(self._client.poll, 0.01)
            try:
                self._client.produce(
                    topic, value, key, partition, headers=list(headers) if headers else None
                )
            except BufferError:
                continue
            except KafkaException as exception:
                self._refuse(exception, topic, partition, key, value)
            return
        raise LogError("_QUEUE_FULL", "the producer's buffer stays full", abortable=True)

    def _refuse(
        self,
        exception: KafkaException,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
    ) -> None:
        error = raised(exception, topic, partition)
        if error.fatal or error.kind == "_STATE":
            raise error from exception
        error.abortable = True
        self._refusals.append(Refusal(topic, partition, key, value, error))
        self._refused_here = self._refused_here or error

    def _require_complete(self) -> None:
        """The client would commit a transaction without the records it refused itself."""
        if self._refused_here is not None:
            raise self._refused_here

    def _report(self, error: KafkaError | None, message: Message[Any, Any]) -> None:
        """Called for failures only, inside the client's calls on the committer's thread."""
        topic, partition = message.topic(), message.partition()
        if error is None or topic is None or partition is None:
            return
        refused = log_error(error, topic, partition, _may_write(topic))
        self._refusals.append(Refusal(topic, partition, message.key(), message.value(), refused))


class _Lines:
    """The client's lines, and whether one told of a connection that was up and was lost.

    Nothing else does: for the connection to the coordinator there is no error event, and a request
    that is sent again at once looks like one that was answered. The client says the same of a
    broker once in 30 s (``rd_kafka_broker_set_error`` of librdkafka 2.16), and nothing where it
    closes a connection itself because it is idle.
    """

    def __init__(self) -> None:
        self.told_of_a_cut = False

    def log(self, level: int, msg: str, /, *args: object) -> None:
        self.told_of_a_cut |= bool(args) and args[0] == "FAIL" and "in state UP" in str(args[-1])
        CLIENT_LOGGER.log(level, msg, *args)


class KafkaProducer:
    """Implements :class:`~streams.ports.Producer`; the client's own calls are thread-safe.

    A record that is not acknowledged within ``patience_s`` is given up as ``_MSG_TIMED_OUT``,
    with all that is under way beside it, and a new client takes what comes after; so too after
    a fatal error of the client. If that is a denial, the reports name the right instead.
    """

    # A client that times out single records itself (message.timeout.ms) goes on in a new
    # session, where no broker recognises what it was sent in the old one: what other partitions
    # had written, and not acknowledged yet, it writes again. enable.gapless.guarantee does not
    # cover records that time out in the client's queue.

    def __init__(self, settings: config.Config, patience_s: float) -> None:
        self._settings = settings
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._session = _Session(settings, patience_s)
        self._retired: deque[_Session] = deque()

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        on_delivery: Callable[[LogError | None], None] | None = None,
    ) -> None:
        with self._lock:
            try:
                self._session.produce(topic, partition, key, value, headers, on_delivery)
            except LogError as error:
                if not error.fatal:
                    raise
                self._retire()
                self._session.produce(topic, partition, key, value, headers, on_delivery)

    def poll(self, timeout_s: float) -> int:
        session = self._session
        # Acknowledgements that came while this process stood still are heard of first.
        served = session.serve(timeout_s)
        with self._lock:
            over = session.died_of or session.waited_s() > self._patience_s
            if over and session is self._session:
                self._retire()
        return served + self._end_retired()

    def flush(self, timeout_s: float) -> int:
        end = time.monotonic() + timeout_s
        self.poll(0)
        while len(self._session.client) and (left_s := end - time.monotonic()) > 0:
            self.poll(left_s)
        return len(self._session.client)

    def close(self) -> None:
        """Deliver what is under way, for at most ``CLOSE_TIMEOUT_S``; the rest is given up."""
        self.flush(CLOSE_TIMEOUT_S)
        self._session.end()

    def _retire(self) -> None:
        """Let a new client take what comes; under the lock."""
        self._retired.append(self._session)
        self._session = _Session(self._settings, self._patience_s)

    def _end_retired(self) -> int:
        return sum(self._retired.popleft().end() for _ in range(len(self._retired)))


class _Session:
    """A client, and since when its records are under way. Its calls are made under a lock, except
    for ``serve`` and ``end``, which are one thread's."""

    def __init__(self, settings: config.Config, patience_s: float) -> None:
        self.client = config.make(ck.Producer, settings)
        self.died_of = ""
        self._slot_s = patience_s / SLOTS
        # An entry for each record: reports come without the lock, and a list needs none.
        self._slot: list[None] = []
        self._ends_at = time.monotonic() + self._slot_s
        self._ended: deque[tuple[float, list[None]]] = deque()

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        on_delivery: Callable[[LogError | None], None] | None,
    ) -> None:
        slot = self._slot

        # With defaults: one is made for each record, and a closure over these costs more.
        def report(
            error: KafkaError | None,
            message: Message[Any, Any],
            slot: list[None] = slot,
            on_delivery: Callable[[LogError | None], None] | None = on_delivery,
            session: _Session = self,
        ) -> None:
            slot.pop()
            if on_delivery is not None:
                on_delivery(None if error is None else session._undelivered(error, message))

        slot.append(None)
        listed: list[tuple[str, str | bytes | None]] | None = list(headers) if headers else None
        try:
            self.client.produce(topic, value, key, partition, on_delivery=report, headers=listed)
        except BufferError as full:
            slot.pop()
            raise LogError("_QUEUE_FULL", "the producer's buffer is full") from full
        except KafkaException as exception:
            slot.pop()
            raise raised(exception, topic, partition, _may_write(topic)) from exception

    def waited_s(self) -> float:
        """For how long the oldest record has been under way, to a slot."""
        now = time.monotonic()
        if self._slot and now >= self._ends_at:
            self._ended.append((now, self._slot))
            self._slot = []
            self._ends_at = now + self._slot_s
        while self._ended and not self._ended[0][1]:
            self._ended.popleft()
        return now - self._ended[0][0] if self._ended else 0.0

    def serve(self, timeout_s: float) -> int:
        """Serve reports, for ``POLL_MAX_S`` at most, up to a fatal error; returns how many."""
        try:
            return _serve(self.client.poll, min(timeout_s, POLL_MAX_S))
        except LogError as error:
            LOGGER.warning("a producer begins anew: %s", error)
            self.died_of = error.kind
            return 0

    def end(self) -> int:
        """Give up what is under way, and say so to each; returns to how many."""
        # The client's own close would wait for these without end.
        self.client.purge()
        given_up = len(self.client)
        end = time.monotonic() + CLOSE_TIMEOUT_S
        while len(self.client) and time.monotonic() < end:
            self.serve(POLL_MAX_S)
        with suppress(KafkaException, SystemError):  # it may die only now, with nothing to report
            self.client.close()
        return given_up

    def _undelivered(self, error: KafkaError, message: Message[Any, Any]) -> LogError:
        topic, partition = message.topic(), message.partition()
        if error.name() == "_PURGE_QUEUE" and self.died_of == CLUSTER_DENIED:
            # It got no producer id, which a broker gives to whoever may write to any topic.
            error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        found = log_error(error, topic, partition, _may_write(topic))
        if found.kind not in UNKNOWN_KINDS:
            return found
        why = f"given up without an acknowledgement ({found.kind})"
        return LogError("_MSG_TIMED_OUT", why, topic=topic, partition=partition)


def _may_write(topic: str | None) -> Mapping[str, str]:
    return {TOPIC_DENIED: f"WRITE on topic '{topic}'"}


def _serve(call: Callable[[float], int], timeout_s: float) -> int:
    """Make a call that serves callbacks; LogError, once, if the client has a fatal error."""
    try:
        return call(timeout_s)
    except KafkaException as exception:
        raise raised(exception) from exception
    except SystemError as error:
        # What the binding makes of a fatal error if other callbacks wait behind it.
        raise LogError("_FATAL", str(error.__cause__ or error), fatal=True) from error


def _repeat(call: Callable[[float], None], timeout_s: float, rights: Mapping[str, str]) -> None:
    """Make a call of the transaction protocol again while its error is retriable.

    A time-out is retriable too: the same call picks up the outcome. LogError at the end.
    """
    end = time.monotonic() + timeout_s
    left_s = timeout_s
    while True:
        try:
            call(left_s)
        except KafkaException as exception:
            error = raised(exception, rights=rights)
            if not error.retriable or end - time.monotonic() < CALL_MIN_S:
                raise error from exception
            time.sleep(RETRY_S)
            left_s = end - time.monotonic()
        else:
            return
