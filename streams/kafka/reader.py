"""Reading partitions by assignment, without a group."""

from __future__ import annotations

from collections.abc import Mapping

import confluent_kafka as ck
from confluent_kafka import Consumer, KafkaException

from streams.kafka.batch import EMPTY, sort, take_ready, wait_first
from streams.kafka.errors import raised
from streams.ports import Consumed, TopicPartition


class KafkaReader:
    """Implements :class:`~streams.ports.Reader`.

    A partition that is assigned again with the offset it was assigned with before goes on
    where it is; with another offset it starts there.
    """

    def __init__(self, client: Consumer) -> None:
        self._client = client
        self._assigned: dict[TopicPartition, int] = {}
        self._closed = False

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        old, new = self._assigned.items(), offsets.items()
        dropped = [ck.TopicPartition(*place) for place, _ in old - new]
        added = [ck.TopicPartition(*place, offset) for place, offset in new - old]
        try:
            if dropped:
                self._client.incremental_unassign(dropped)
            if added:
                self._client.incremental_assign(added)
        except KafkaException as exception:
            raise raised(exception) from exception
        self._assigned = dict(offsets)

    def consume(self, records_max: int, timeout_s: float) -> Consumed:
        try:
            messages = wait_first(self._client, timeout_s)
            if messages:
                messages += take_ready(self._client, records_max - 1)
        except KafkaException as exception:
            raise raised(exception) from exception
        return sort(messages) if messages else EMPTY

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._client.close()
