"""What is asked of brokers that have just come back."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import LogError
from streams.kafka import admin
from streams.kafka.admin import KafkaAdmin
from streams.ports import TopicInfo


class Leaderless(KafkaAdmin):
    """A cluster without leaders; it has one topic, of two partitions."""

    def __init__(self) -> None:
        pass

    def topics(
        self, names: Iterable[str] | None = None, *, timeout_s: float = 0.0
    ) -> dict[str, TopicInfo]:
        return {name: TopicInfo(name, 2, 1) for name in names or () if name == "there"}

    def _ask_offsets(
        self, topic: str, partitions: Iterable[int], spec: Any
    ) -> dict[int, Future[Any]]:
        asked = {p: Future[Any]() for p in partitions}
        for future in asked.values():
            # What the client says where metadata show no leader.
            future.set_exception(KafkaException(KafkaError(KafkaError._NOENT)))
        return asked


def test_a_partition_without_a_leader_is_waited_for_and_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin, "VISIBLE_TIMEOUT_S", 0.05)
    with pytest.raises(LogError, match="no broker leads partition 1 of topic 'there'") as caught:
        Leaderless().bounds("there", [1])
    assert caught.value.kind == "LEADER_NOT_AVAILABLE"


@pytest.mark.parametrize(("topic", "partition"), [("there", 2), ("elsewhere", 0)])
def test_a_partition_that_does_not_exist_is_said_at_once(topic: str, partition: int) -> None:
    with pytest.raises(LogError) as caught:
        Leaderless().bounds(topic, [partition])
    assert caught.value.kind == "UNKNOWN_TOPIC_OR_PART"
