"""Faults of brokers: killed, stopped, all restarted, and the coordinators among them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .fault import Field, Heal

TRANSACTION_PARTITIONS = 4
"""``transaction.state.log.num.partitions`` of the embedded Kafka."""
ASK_S = 10.0


class _Broker:
    """What faults of brokers share."""

    needs: str | None = None

    def ready(self, field: Field) -> None:
        pass

    def close(self) -> None:
        pass


class KillBroker(_Broker):
    """kill -9 of any broker; started again on its data."""

    name = "kill-broker"
    brokers = frozenset({1, 3})
    pause_s = (0.5, 8.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        return _kill(field, rng.choice(field.brokers))


class StopBroker(_Broker):
    """SIGSTOP: it stays connected and answers nothing."""

    name = "stop-broker"
    brokers = frozenset({1, 3})
    pause_s = (2.0, 9.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        n = rng.choice(field.brokers)
        field.affects(f"broker {n}", since="heal", reach="brokers")
        field.kafka.pause(n)
        return lambda: field.kafka.resume(n)


class RestartBrokers(_Broker):
    """All brokers killed at once, and started again."""

    name = "restart-all-brokers"
    brokers = frozenset({1, 3})
    pause_s = (0.0, 4.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects("all brokers", since="heal", reach="brokers")
        for n in field.brokers:
            field.kafka.kill(n)
        return lambda: _start(field, field.brokers)


class KillGroupCoordinator(_Broker):
    """kill -9 of the broker that coordinates the main pool's group."""

    name = "kill-group-coordinator"
    brokers = frozenset({3})
    pause_s = (4.0, 9.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        group = field.topics.group("labour")
        try:
            described = _admin(field).describe_consumer_groups([group])[group].result(ASK_S)
        except (KafkaException, TimeoutError):
            # The group is without one at the moment, of an earlier fault.
            return _kill(field, rng.choice(field.brokers))
        return _kill(field, described.coordinator.id, "group coordinator, ")


class KillTransactionCoordinator(_Broker):
    """kill -9 of the broker that coordinates the transactions of one slot."""

    name = "kill-transaction-coordinator"
    brokers = frozenset({3})
    pause_s = (4.0, 9.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        name = field.topics.transactional_id("labour", rng.choice(field.slots))
        partition = java_hash(name) % TRANSACTION_PARTITIONS
        try:
            state = _admin(field).list_topics("__transaction_state", ASK_S).topics
            leader = state["__transaction_state"].partitions[partition].leader
        except (KafkaException, KeyError):
            leader = -1
        chosen = leader if leader in field.brokers else rng.choice(field.brokers)
        return _kill(field, chosen, "transaction coordinator, ")


def java_hash(text: str) -> int:
    """``String.hashCode`` of ASCII text without its sign, by which coordinators are chosen."""
    value = 0
    for byte in text.encode():
        value = (31 * value + byte) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def _kill(field: Field, n: int, what: str = "") -> Heal:
    alone = len(field.brokers) == 1
    field.affects(f"{what}broker {n}", since="heal" if alone else "strike", reach="brokers")
    field.kafka.kill(n)
    return lambda: _start(field, [n])


def _start(field: Field, brokers: Sequence[int]) -> None:
    """Start these side by side: one of three does not serve before another does."""
    failed: list[BaseException] = []

    def start(n: int) -> None:
        try:
            field.kafka.restart(n)
        except BaseException as error:
            failed.append(error)

    _all(lambda n=n: start(n) for n in brokers)
    if failed:
        raise failed[0]


def _all(calls: Iterable[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _admin(field: Field) -> AdminClient:
    return AdminClient({"bootstrap.servers": field.kafka.bootstrap, "log_level": 0})
