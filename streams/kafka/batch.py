"""Taking what a consumer has ready, sorted into records, errors and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, Message

from streams.errors import LogError
from streams.kafka.errors import TOPIC_DENIED, log_error
from streams.ports import Consumed, Record, TopicPartition

Messages = list["Message[Any, Any]"]
EMPTY = Consumed(())
_NONE: Mapping[str, str] = {}


def wait_first(client: Consumer, timeout_s: float) -> Messages:
    """At most one message, waited for; callbacks of a rebalance run in here."""
    first = client.poll(timeout_s)
    return [] if first is None else [first]


def take_ready(client: Consumer, messages_max: int) -> Messages:
    """What is there without waiting: with a time-out the client waits for a *full* batch."""
    return client.consume(messages_max, 0) if messages_max > 0 else []


def sort(messages: Messages, group_rights: Mapping[str, str] = _NONE) -> Consumed:
    """Split errors and ends of partitions from the records."""
    records = [message for message in messages if message.error() is None]
    typed = cast(Sequence[Record], records)
    if len(records) == len(messages):
        return Consumed(typed)
    errors: list[LogError] = []
    ended: dict[TopicPartition, int] = {}
    for message in messages:
        error = message.error()
        if error is None:
            continue
        topic, partition = message.topic(), message.partition()
        if error.code() != KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
            rights = {TOPIC_DENIED: f"READ on topic '{topic}'", **group_rights}
            errors.append(log_error(error, topic, partition, rights))
        elif topic is not None and partition is not None:
            ended[topic, partition] = message.offset() or 0
    return Consumed(typed, errors, ended)
