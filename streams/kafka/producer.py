"""Producers: the transactional one of a slot, and the plain idempotent one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import confluent_kafka as ck
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streams.errors import LogError
from streams.kafka import config
from streams.kafka.errors import GROUP_DENIED, ID_DENIED, TOPIC_DENIED, log_error, raised
from streams.ports import Committed, Headers, Membership, Refusal

OFFSETS_TIMEOUT_S = config.TRANSACTION_TIMEOUT_MS / 1000
QUEUE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
RETRY_S = 0.01
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
        self._client = config.make(ck.Producer, {**settings, "on_delivery": self._report})

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

    def commit(self, timeout_s: float) -> None:
        self._require_complete()
        _repeat(self._client.commit_transaction, timeout_s, self._rights)

    def abort(self, timeout_s: float) -> None:
        _repeat(self._client.abort_transaction, timeout_s, self._rights)

    def refusals(self) -> list[Refusal]:
        """Delivery errors since ``begin``, in the order in which they were reported."""
        return list(self._refusals)

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
            self._client.poll(0.01)
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


class KafkaProducer:
    """Implements :class:`~streams.ports.Producer`; the client's own calls are thread-safe."""

    def __init__(self, settings: config.Config) -> None:
        self._client = config.make(ck.Producer, settings)

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        on_delivery: Callable[[LogError | None], None] | None = None,
    ) -> None:
        report = None if on_delivery is None else _reporter(on_delivery)
        try:
            self._client.produce(
                topic,
                value,
                key,
                partition,
                on_delivery=report,
                headers=list(headers) if headers else None,
            )
        except BufferError as full:
            raise LogError("_QUEUE_FULL", "the producer's buffer is full") from full
        except KafkaException as exception:
            raise raised(exception, topic, partition) from exception

    def poll(self, timeout_s: float) -> int:
        return self._client.poll(timeout_s)

    def flush(self, timeout_s: float) -> int:
        return self._client.flush(timeout_s)

    def close(self) -> None:
        """Deliver what is under way, for at most ``CLOSE_TIMEOUT_S``; the rest is reported."""
        if self._client.flush(CLOSE_TIMEOUT_S):
            # The client's own close would wait for these without end.
            self._client.purge()
        self._client.close()


def _reporter(
    on_delivery: Callable[[LogError | None], None],
) -> Callable[[KafkaError | None, Message[Any, Any]], None]:
    def report(error: KafkaError | None, message: Message[Any, Any]) -> None:
        if error is None:
            on_delivery(None)
        else:
            topic = message.topic()
            on_delivery(log_error(error, topic, message.partition(), _may_write(topic)))

    return report


def _may_write(topic: str | None) -> Mapping[str, str]:
    return {TOPIC_DENIED: f"WRITE on topic '{topic}'"}


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
