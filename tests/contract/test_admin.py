"""Topics, groups and offsets."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from streams.errors import LogError
from streams.ports import Bounds, Committed, Log, TopicSpec


def fill(log: Log, topic: str, values: int) -> None:
    producer = log.producer()
    for number in range(values):
        producer.produce(topic, 0, None, str(number).encode())
    assert producer.flush(30) == 0
    producer.close()


def test_topics_are_listed_with_their_partitions(log: Log, topic_factory) -> None:
    topic = topic_factory(5)
    infos = log.admin().topics([topic, "missing"])
    assert list(infos) == [topic]
    assert (infos[topic].name, infos[topic].partitions, infos[topic].replication) == (topic, 5, 1)
    assert topic in log.admin().topics()


def test_a_topic_is_made_with_the_default_replication(
    log: Log, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory(1)
    assert log.admin().topics([topic])[topic].replication == log.admin().default_replication()


def test_the_brokers_are_listed_with_their_addresses(log: Log) -> None:
    (address,) = log.admin().brokers().values()
    host, _, port = address.rpartition(":")
    assert host
    assert port.isdigit()


def test_a_topic_keeps_its_configuration(log: Log, topic_factory) -> None:
    topic = topic_factory(1, max_message_bytes="2000")
    config = log.admin().topic_config(topic)
    assert config["max.message.bytes"] == "2000"
    assert config["message.timestamp.type"] == "LogAppendTime"


def test_creating_a_topic_twice_names_it(log: Log, topic_factory) -> None:
    topic = topic_factory(1)
    with pytest.raises(LogError) as caught:
        log.admin().create_topics([TopicSpec(topic, 1)])
    assert (caught.value.kind, caught.value.topic) == ("TOPIC_ALREADY_EXISTS", topic)


def test_bounds_and_times(log: Log, topic_factory) -> None:
    topic = topic_factory(2)
    fill(log, topic, 3)
    admin = log.admin()
    assert admin.bounds(topic, [0, 1]) == {0: Bounds(0, 3), 1: Bounds(0, 0)}
    assert admin.offsets_at(topic, [0, 1], 0) == {0: 0, 1: 0}
    assert admin.offsets_at(topic, [0, 1], 4_000_000_000_000) == {0: 3, 1: 0}


def test_a_missing_topic_has_no_bounds(log: Log) -> None:
    with pytest.raises(LogError) as caught:
        log.admin().bounds("missing", [0])
    assert caught.value.kind in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION")


def test_offsets_are_set_only_while_the_group_is_empty(
    log: Log, topic_factory, member_factory, until
) -> None:
    topic, group = topic_factory(1), f"g-{uuid4().hex[:8]}"
    admin = log.admin()
    assert admin.committed(group, topic, [0]) == {0: None}
    admin.set_committed(group, topic, {0: Committed(5, "note")})
    assert admin.committed(group, topic, [0]) == {0: Committed(5, "note")}
    assert group in admin.groups()
    member = member_factory(group, topic)
    until(lambda: bool(member.owned), member.poll)
    with pytest.raises(LogError):
        admin.set_committed(group, topic, {0: Committed(6, "")})
    assert admin.committed(group, topic, [0]) == {0: Committed(5, "note")}


def test_a_group_is_described_with_its_members(
    log: Log, topic_factory, member_factory, until
) -> None:
    topic, group = topic_factory(2), f"g-{uuid4().hex[:8]}"
    member = member_factory(group, topic, "slot")
    until(lambda: len(member.owned) == 2, member.poll)
    until(lambda: log.admin().group(group).state == "stable", member.poll)
    described = log.admin().group(group).members
    assert len(described) == 1
    assert described[0].member_id == member.consumer.membership().member_id
    assert (described[0].client_id, described[0].instance_id) == (f"{group}.slot", "slot")
    assert sorted(described[0].partitions) == [(topic, 0), (topic, 1)]


def test_an_unknown_group_is_dead(log: Log) -> None:
    described = log.admin().group(f"g-{uuid4().hex[:8]}")
    assert (described.state, described.members) == ("dead", ())
