"""The client's errors as values of this package, and its log lines in ours."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError, KafkaException

from streams.errors import LogError

LOGGER = logging.getLogger("streams.kafka")
# Without a handler of its own, Python prints the client's warnings on the user's stderr.
LOGGER.addHandler(logging.NullHandler())

# The client marks these as fatal only through a call the Python binding does not have.
_ALWAYS_FATAL = frozenset({"_FATAL", "_FENCED"})


def log_error(
    error: KafkaError, topic: str | None = None, partition: int | None = None
) -> LogError:
    """The client's error as a value; a negative partition means none."""
    kind = error.name()
    return LogError(
        kind,
        error.str(),
        retriable=error.retriable(),
        abortable=error.txn_requires_abort(),
        fatal=error.fatal() or kind in _ALWAYS_FATAL,
        topic=topic,
        partition=partition if partition is not None and partition >= 0 else None,
    )


def raised(
    exception: KafkaException, topic: str | None = None, partition: int | None = None
) -> LogError:
    """The error inside an exception of the client."""
    return log_error(exception.args[0], topic, partition)


def log_event(error: KafkaError) -> None:
    """Take an error that belongs to no call (a lost connection); the client goes on by itself."""
    LOGGER.warning("%s: %s", error.name(), error.str())
