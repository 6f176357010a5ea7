"""A member of a group on a real broker, where the client alone would go wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from confluent_kafka import KafkaError

from streams.kafka.log import KafkaLog
from streams.ports import GroupConsumer, TopicSpec
from streams.testing import Kafka
from tests.fault.proxy import HEARTBEAT, Proxy, Rule, error_of

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0
FENCED = KafkaError.FENCED_INSTANCE_ID


class Member:
    """Takes what it is given, when it is let."""

    def __init__(self, consumer: GroupConsumer) -> None:
        self.consumer = consumer
        self.owned: set[int] = set()
        consumer.subscribe(self)

    def step(self) -> None:
        self.consumer.consume(1, 0.05)

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self.owned.update(partitions)
        return dict.fromkeys(partitions, 0)

    def on_revoke(self, partitions: Sequence[int]) -> None:
        self.owned.difference_update(partitions)

    on_lost = on_revoke


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy, Kafka(properties=proxy.properties):
        yield proxy


def until(condition: Callable[[], bool], *members: Member) -> None:
    """Let these members work until the condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        for member in members:
            member.step()


def test_one_that_was_replaced_before_it_took_its_partitions_ends(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Its client joins and is given partitions by itself, and waits to call back."""
    log, group, topic = KafkaLog(proxy.bootstrap), "g", "t"
    log.admin().create_topics([TopicSpec(topic, 2)])

    def join(name: str) -> Member:
        return Member(log.group_consumer(group=group, topic=topic, client_id=name, slot="a"))

    older = join("older")
    until(lambda: log.admin().group(group).state == "stable")
    heard = Rule("reply", frozenset({HEARTBEAT}), client="older")
    proxy.rules = [heard]
    newer = join("newer")
    until(lambda: FENCED in map(error_of, list(heard.struck)), newer)
    with caplog.at_level(logging.WARNING, "streams.kafka"):
        older.consumer.close()
    newer.consumer.close()
    assert "left behind" not in caplog.text
