"""The factory of everything that talks to one Kafka cluster."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import confluent_kafka as ck

from streams.errors import BrokerUnreachable, LogError
from streams.kafka import config
from streams.kafka.admin import KafkaAdmin
from streams.kafka.consumer import KafkaGroupConsumer
from streams.kafka.producer import KafkaProducer, KafkaTransactionalProducer
from streams.kafka.reader import KafkaReader


class KafkaLog:
    """Implements :class:`~streams.ports.Log` on the cluster at ``bootstrap``.

    ``properties`` are the Kafka client's own, passed to every client over our defaults; what
    exactly-once needs (isolation, offsets, ids) cannot be changed. SettingsInvalid is raised
    when a client is made with a property that it refuses.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, str] | None = None) -> None:
        self._bootstrap = bootstrap
        self._properties = dict(properties or {})
        self._admin: KafkaAdmin | None = None
        self._lock = threading.Lock()

    def check(self, timeout_s: float = 5.0) -> None:
        """Raise BrokerUnreachable, naming the address, if no broker answers in time."""
        try:
            self.admin().topics((), timeout_s=timeout_s)
        except LogError as error:
            raise BrokerUnreachable(
                f"no Kafka broker answers at {self._bootstrap} ({error.kind})",
                hint="start one with 'streams kafka up', or check the address",
            ) from error

    def group_consumer(
        self, *, group: str, topic: str, client_id: str, slot: str | None
    ) -> KafkaGroupConsumer:
        """A consumer; with a ``slot`` it is a static member of that instance id."""
        settings = config.group_consumer(self._bootstrap, self._properties, group, client_id, slot)
        return KafkaGroupConsumer(config.make(ck.Consumer, settings), topic, group)

    def transactional_producer(
        self, transactional_id: str, *, group: str
    ) -> KafkaTransactionalProducer:
        """A producer of this id; ``group`` is the one whose offsets it may send."""
        return KafkaTransactionalProducer(
            config.transactional_producer(self._bootstrap, self._properties, transactional_id),
            group,
        )

    def producer(self) -> KafkaProducer:
        return KafkaProducer(
            config.producer(self._bootstrap, self._properties),
            config.patience_s(self._properties),
        )

    def reader(self) -> KafkaReader:
        settings = config.reader(self._bootstrap, self._properties)
        return KafkaReader(config.make(ck.Consumer, settings))

    def admin(self) -> KafkaAdmin:
        """One client for all callers, made at first use."""
        with self._lock:
            if self._admin is None:
                self._admin = KafkaAdmin(config.admin(self._bootstrap, self._properties))
            return self._admin
