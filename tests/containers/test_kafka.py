"""Kafka in containers serves our log: one broker by Testcontainers, three by the compose file."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from streams.kafka.log import KafkaLog
from streams.ports import TopicSpec

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

PARTITIONS = 3
CALL_S = 30
READ_S_MAX = 60


def test_one_broker_shows_what_was_committed_and_nothing_else(broker: str) -> None:
    log = KafkaLog(broker)
    topic = new_topic(log)
    write(log, topic, ["kept-1", "kept-2"])
    write(log, topic, ["dropped"], commit=False)
    write(log, topic, ["kept-3"])
    assert sorted(read(log, topic)) == ["kept-1", "kept-2", "kept-3"]


def test_the_compose_file_starts_a_cluster_that_keeps_three_copies(cluster: Any) -> None:
    admin = KafkaLog(cluster.bootstrap).admin()
    topic = new_topic(KafkaLog(cluster.bootstrap))
    assert admin.topics([topic])[topic].replication == 3
    assert admin.topic_config(topic)["min.insync.replicas"] == "2"


def test_a_missing_topic_is_not_created_by_asking_for_it(cluster: Any) -> None:
    admin = KafkaLog(cluster.bootstrap).admin()
    assert admin.topics(["nobody-made-this"]) == {}
    assert "nobody-made-this" not in admin.topics()


def new_topic(log: KafkaLog) -> str:
    name = f"t-{uuid4().hex[:8]}"
    log.admin().create_topics([TopicSpec(name, PARTITIONS)])
    return name


def write(log: KafkaLog, topic: str, values: list[str], *, commit: bool = True) -> None:
    """Write the values in one transaction, spread over the partitions."""
    producer = log.transactional_producer(f"writer-{topic}", group=topic)
    producer.init(CALL_S)
    producer.begin()
    for n, value in enumerate(values):
        producer.produce(topic, n % PARTITIONS, None, value.encode())
    if commit:
        producer.commit(CALL_S)
    else:
        producer.abort(CALL_S)
    producer.destroy()


def read(log: KafkaLog, topic: str) -> list[str]:
    """Every committed value of the topic."""
    reader = log.reader()
    reader.assign({(topic, partition): 0 for partition in range(PARTITIONS)})
    values: list[str] = []
    ended: set[tuple[str, int]] = set()
    end = time.monotonic() + READ_S_MAX
    while len(ended) < PARTITIONS:
        assert time.monotonic() < end, f"only {len(ended)} partitions read to their end"
        consumed = reader.consume(100, 0.2)
        values += [(record.value() or b"").decode() for record in consumed.records]
        ended.update(consumed.ended)
    reader.close()
    return values
