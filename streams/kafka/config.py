"""How each client is set up: defaults, the user's properties over them, then what must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from streams.errors import SettingsInvalid
from streams.kafka.errors import CLIENT_LOGGER, ClientLines, log_event, log_member_event

Properties = Mapping[str, str]
Config = dict[str, Any]
Client = TypeVar("Client")

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
TRANSACTION_TIMEOUT_MS = 5_000
SESSION_TIMEOUT_MS = 6_000
PATIENCE_MS = 300_000
"""For how long a plain producer waits for an acknowledgement, as the client itself would."""

_COMMON: Config = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
    # With the client's 60 s a fetch whose answer is lost, on a connection that died unseen, keeps
    # its partitions from being read for a minute, while the member's heartbeats go on elsewhere.
    "socket.timeout.ms": 10_000,
}
# Prefetched records cost memory, which its allocator keeps, and ``pause`` throws them away: few of
# them. The client would hold 64 MiB, and look for room once a second.
_CONSUMER: Config = {
    "fetch.wait.max.ms": 20,
    "fetch.queue.backoff.ms": 5,
    "fetch.error.backoff.ms": 50,
    "queued.min.messages": 2_000,
    "queued.max.messages.kbytes": 4_096,
}
_GROUP: Config = {
    "session.timeout.ms": SESSION_TIMEOUT_MS,
    "heartbeat.interval.ms": 300,
}
_PRODUCER: Config = {
    "compression.type": "lz4",
    "message.max.bytes": MESSAGE_BYTES_MAX,
    # A topic that does not exist is reported by name after this, not as a vague time-out.
    "topic.metadata.propagation.max.ms": 2_000,
}
_PATIENCE = ("message.timeout.ms", "delivery.timeout.ms")
_TRANSACTIONAL: Config = {
    # Sending offsets has no time-out of its own (librdkafka issues 5456, 5511): when the group's
    # coordinator dies, it waits for a broker's change of state, with the dead one still in its
    # cache. Idle connections that close are such a change, and by then the cache has forgotten.
    "connections.max.idle.ms": 5_000,
    "metadata.max.age.ms": 4_000,
    "topic.metadata.refresh.interval.ms": 1_000,
    "linger.ms": 1,
    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
    "socket.timeout.ms": TRANSACTION_TIMEOUT_MS - 100,
    # The broker answers CONCURRENT_TRANSACTIONS while it ends the one before: with the
    # client's 100 ms each transaction of a busy worker would take that long.
    "retry.backoff.ms": 5,
    "retry.backoff.max.ms": 50,
}
_READ_COMMITTED: Config = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Anything else jumps over unfinished offsets with a log line only.
    "auto.offset.reset": "error",
}


def admin(bootstrap: str, properties: Properties) -> Config:
    """An admin client."""
    return _merge(bootstrap, properties, {}, {})


def group_consumer(
    bootstrap: str, properties: Properties, group: str, client_id: str, slot: str | None
) -> Config:
    """A member of a group; static with a slot."""
    fixed: Config = {
        "group.id": group,
        "client.id": client_id,
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.partition.eof": True,
        "error_cb": log_member_event,
        **_READ_COMMITTED,
    }
    if slot is not None:
        fixed["group.instance.id"] = slot
    return _merge(bootstrap, properties, _CONSUMER | _GROUP, fixed)


def offsets_reader(settings: Config, group: str, stable: bool) -> Config:
    """A consumer that only asks what its group has committed, with an admin's settings."""
    return {
        **_CONSUMER,
        **settings,
        **_READ_COMMITTED,
        "group.id": group,
        "isolation.level": "read_committed" if stable else "read_uncommitted",
    }


def reader(bootstrap: str, properties: Properties) -> Config:
    """A consumer outside of groups; the client wants the name of one all the same."""
    fixed: Config = {"group.id": "streams-reader", "enable.partition.eof": True, **_READ_COMMITTED}
    return _merge(bootstrap, properties, _CONSUMER, fixed)


def producer(bootstrap: str, properties: Properties) -> Config:
    """An idempotent producer; it never gives up a record by itself, see ``patience_s``."""
    properties = {name: value for name, value in properties.items() if name not in _PATIENCE}
    fixed: Config = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": 0}
    # The client waits 5 ms for more, which a task that is submitted alone would wait too.
    return _merge(bootstrap, properties, {**_PRODUCER, "linger.ms": 1}, fixed)


def patience_s(properties: Properties) -> float:
    """For how long a plain producer waits for an acknowledgement; ``message.timeout.ms`` if set.

    0 means without end, as for the client. SettingsInvalid if it is no number.
    """
    name = next((name for name in _PATIENCE if name in properties), None)
    text = str(PATIENCE_MS) if name is None else properties[name]
    if not (text.isascii() and text.isdigit()):
        raise _refused(f"{name} is no number of milliseconds: '{text}'")
    return int(text) / 1000 or math.inf


def transactional_producer(bootstrap: str, properties: Properties, name: str) -> Config:
    """A transactional producer; it reports deliveries of failures only."""
    fixed: Config = {
        "transactional.id": name,
        "client.id": name,
        "enable.idempotence": True,
        "acks": "all",
        "delivery.report.only.error": True,
    }
    return _merge(bootstrap, properties, _PRODUCER | _TRANSACTIONAL, fixed)


def make(kind: Callable[..., Client], config: Config, lines: ClientLines = CLIENT_LOGGER) -> Client:
    """A client of this configuration; SettingsInvalid names the property that is wrong."""
    try:
        return kind(config, logger=lines)
    except KafkaException as exception:
        raise _refused(exception.args[0].str()) from exception


def _refused(why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"the Kafka client refuses its settings: {why}",
        hint="check [kafka] in streams.toml and STREAMS_KAFKA_*",
    )


def _merge(bootstrap: str, properties: Properties, default: Config, fixed: Config) -> Config:
    return {
        **_COMMON,
        **default,
        **properties,
        "error_cb": log_event,
        # Producers would ask the broker to make what they do not find, with settings of its own.
        "allow.auto.create.topics": False,
        **fixed,
        "bootstrap.servers": bootstrap,
    }
