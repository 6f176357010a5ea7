"""The client's errors as values of this package, and its log lines in ours."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException

from streams.errors import LogError

LOGGER = logging.getLogger("streams.kafka")
# Without a handler of its own, Python prints warnings on the user's stderr.
LOGGER.addHandler(logging.NullHandler())
CLIENT_LOGGER = logging.getLogger("streams.kafka.client")
"""The client's own lines. They are off: it calls expected events (a rebalance, a broker that
starts) errors, and whatever matters comes as an error of a call or to ``log_event``."""
if CLIENT_LOGGER.level == logging.NOTSET:
    CLIENT_LOGGER.setLevel(logging.CRITICAL + 1)


class ClientLines(Protocol):
    """Takes the client's own lines; a logger does."""

    def log(self, level: int, msg: str, /, *args: object) -> None: ...


REPEAT_S = 30.0
_said_at: dict[str, float] = {}
_CONNECTIONS = frozenset({"_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT"})

# The client marks these as fatal only through a call the Python binding does not have.
_ALWAYS_FATAL = frozenset({"_FATAL", "_FENCED"})


TOPIC_DENIED = "TOPIC_AUTHORIZATION_FAILED"
GROUP_DENIED = "GROUP_AUTHORIZATION_FAILED"
ID_DENIED = "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
CLUSTER_DENIED = "CLUSTER_AUTHORIZATION_FAILED"
_NO_RIGHTS: Mapping[str, str] = {}


def log_error(
    error: KafkaError,
    topic: str | None = None,
    partition: int | None = None,
    rights: Mapping[str, str] = _NO_RIGHTS,
) -> LogError:
    """The client's error as a value; a negative partition means none.

    ``rights`` says for each kind of denial which right was needed, ``READ on topic 'x'``: the
    broker itself never tells.
    """
    kind = error.name()
    right = rights.get(kind)
    return LogError(
        kind,
        error.str() if right is None else f"the right {right} is missing",
        hint="" if right is None else "allow it, with kafka-acls for example",
        retriable=error.retriable(),
        abortable=error.txn_requires_abort(),
        fatal=error.fatal() or kind in _ALWAYS_FATAL,
        topic=topic,
        partition=partition if partition is not None and partition >= 0 else None,
    )


def raised(
    exception: KafkaException,
    topic: str | None = None,
    partition: int | None = None,
    rights: Mapping[str, str] = _NO_RIGHTS,
) -> LogError:
    """The error inside an exception of the client."""
    return log_error(exception.args[0], topic, partition, rights)


def log_event(error: KafkaError) -> None:
    """Take an error that belongs to no call; the client goes on by itself.

    Each client reports each of its attempts: every kind is logged once in ``REPEAT_S``.
    Lost connections are news only to who is never idle: brokers close those that are.
    """
    kind = error.name()
    if _is_new(kind):
        level = logging.INFO if kind in _CONNECTIONS else logging.WARNING
        LOGGER.log(level, "%s: %s", kind, error.str())


def log_member_event(error: KafkaError) -> None:
    """As ``log_event`` for a member of a group, which is never idle."""
    if error.name() != "_ALL_BROKERS_DOWN":
        log_event(error)
    elif _is_new("outage"):
        LOGGER.warning("no broker answers; the connection is tried again until one does")


def _is_new(event: str) -> bool:
    now = time.monotonic()
    if now - _said_at.get(event, -REPEAT_S) < REPEAT_S:
        return False
    _said_at[event] = now
    return True
