"""Faults of brokers: killed, stopped, all restarted, and the coordinators among them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .fault import Field, Heal, Missed

TRANSACTION_PARTITIONS = 4
"""``transaction.state.log.num.partitions`` of the embedded Kafka."""
ASK_S = 10.0
FOUND_S = 30.0
"""How long a coordinator may be on its way to another broker, after an earlier fault."""


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
        return _kill(field, _found(field, self._coordinator), "group coordinator, ")

    def _coordinator(self, field: Field) -> int:
        group = field.topics.group("labour")
        # A client that nobody holds is gone before its answer comes.
        client = _admin(field)
        return client.describe_consumer_groups([group])[group].result(ASK_S).coordinator.id


class KillTransactionCoordinator(_Broker):
    """kill -9 of the broker that coordinates the transactions of one slot."""

    name = "kill-transaction-coordinator"
    brokers = frozenset({3})
    pause_s = (4.0, 9.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        name = field.topics.transactional_id("labour", rng.choice(field.slots))
        partition = java_hash(name) % TRANSACTION_PARTITIONS

        def coordinator(field: Field) -> int:
            state = _admin(field).list_topics("__transaction_state", ASK_S).topics
            return state["__transaction_state"].partitions[partition].leader

        return _kill(field, _found(field, coordinator), "transaction coordinator, ")


def _found(field: Field, ask: Callable[[Field], int]) -> int:
    """The broker that ``ask`` names, as soon as it names one; Missed."""
    named: list[int] = []

    def answered() -> bool:
        with suppress(KafkaException, TimeoutError, KeyError):
            named.append(ask(field))
        return bool(named) and named[-1] in field.brokers

    if not field.until(answered, FOUND_S):
        raise Missed(f"no broker coordinates it for {FOUND_S:.0f} s")
    return named[-1]


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
