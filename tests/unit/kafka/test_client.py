"""The Kafka adapter where no broker is needed."""

from __future__ import annotations

import math
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, KafkaError

from streams.errors import BrokerUnreachable, LogError, SettingsInvalid
from streams.kafka.consumer import KafkaGroupConsumer, parse_token
from streams.kafka.log import KafkaLog
from streams.ports import TopicSpec

NOBODY = "127.0.0.1:1"


def test_an_unreachable_broker_is_named_with_a_remedy_and_nothing_is_printed(capfd) -> None:
    with pytest.raises(BrokerUnreachable) as caught:
        KafkaLog(NOBODY).check(timeout_s=0.5)
    assert NOBODY in caught.value.message
    assert "streams kafka up" in caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_without_a_broker_init_ends_in_time_with_a_value(capfd) -> None:
    producer = KafkaLog(NOBODY).transactional_producer("t", group="g")
    with pytest.raises(LogError) as caught:
        producer.init(0.3)
    assert caught.value.kind in ("_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN")
    producer.destroy()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"no.such.property": "1"}, "no.such.property"),
        ({"retry.backoff.ms": "x"}, "retry.backoff"),
        ({"message.timeout.ms": "soon"}, "message.timeout.ms"),
    ],
)
def test_a_property_the_client_refuses_is_a_settings_error(properties, named) -> None:
    with pytest.raises(SettingsInvalid, match=named):
        KafkaLog(NOBODY, properties).producer()


def test_properties_cannot_change_what_exactly_once_needs() -> None:
    properties = {"isolation.level": "read_uncommitted", "enable.auto.commit": "true"}
    from streams.kafka import config

    made = config.group_consumer(NOBODY, properties | {"client.rack": "r"}, "g", "c", None)
    assert (made["isolation.level"], made["enable.auto.commit"]) == ("read_committed", False)
    assert made["client.rack"] == "r"


def test_a_consumer_that_never_joined_is_not_a_member() -> None:
    consumer = KafkaLog(NOBODY).group_consumer(group="g", topic="t", client_id="c", slot=None)
    membership = consumer.membership()
    assert (membership.generation, membership.member_id) == (-1, "")
    assert not membership.valid
    consumer.close()


def test_the_layout_of_the_clients_group_metadata_is_the_one_we_read() -> None:
    client = Consumer({"bootstrap.servers": NOBODY, "group.id": "g", "log_level": 0})
    assert client.consumer_group_metadata().startswith(b"CGMDv2:\xff\xff\xff\xffg\0\0")
    client.close()


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (b"CGMDv2:" + (7).to_bytes(4, "little") + b"group\0member-1\0\x01", (7, "member-1")),
        (b"CGMDv2:" + (7).to_bytes(4, "little") + b"group\0\0\x01", (-1, "")),
        (b"CGMDv2:\xff\xff\xff\xffgroup\0member\0\x01", (-1, "")),
        (b"CGMDv3:" + (7).to_bytes(4, "little") + b"group\0member\0\x01", (-1, "")),
        (b"CGMDv2:", (-1, "")),
        (b"", (-1, "")),
    ],
)
def test_only_a_joined_member_has_a_generation(token, expected) -> None:
    assert parse_token(token) == expected


def test_a_closing_producer_reports_what_it_could_not_deliver(monkeypatch) -> None:
    monkeypatch.setattr("streams.kafka.producer.CLOSE_TIMEOUT_S", 0.1)
    reports: list[LogError | None] = []
    producer = KafkaLog(NOBODY).producer()
    producer.produce("t", 0, None, b"v", None, reports.append)
    producer.close()
    assert [report.kind for report in reports if report is not None] == ["_MSG_TIMED_OUT"]


@pytest.mark.parametrize(
    ("properties", "seconds"),
    [
        ({}, 300.0),
        ({"message.timeout.ms": "4000"}, 4.0),
        ({"delivery.timeout.ms": "0"}, math.inf),
    ],
)
def test_a_plain_producers_patience_is_ours_and_not_its_clients(properties, seconds) -> None:
    from streams.kafka import config

    assert config.patience_s(properties) == seconds
    made = config.producer(NOBODY, properties)
    assert (made["message.timeout.ms"], "delivery.timeout.ms" in made) == (0, False)


def test_an_answer_that_is_lost_is_given_up_within_seconds() -> None:
    from streams.kafka import config

    made = [
        config.admin(NOBODY, {}),
        config.group_consumer(NOBODY, {}, "g", "c", None),
        config.reader(NOBODY, {}),
        config.producer(NOBODY, {}),
    ]
    assert {settings["socket.timeout.ms"] for settings in made} == {10_000}
    transactional = config.transactional_producer(NOBODY, {}, "t")
    assert transactional["socket.timeout.ms"] < transactional["transaction.timeout.ms"]
    own = config.reader(NOBODY, {"socket.timeout.ms": "7000"})
    assert own["socket.timeout.ms"] == "7000"


def test_a_consumer_of_any_kind_holds_few_records_that_nobody_took() -> None:
    from streams.kafka import config

    own = {"queued.min.messages": "7"}
    for properties, least in (({}, 2_000), (own, "7")):
        admin = config.admin(NOBODY, properties)
        for made in (
            config.group_consumer(NOBODY, properties, "g", "c", None),
            config.reader(NOBODY, properties),
            config.offsets_reader(admin, "g", stable=True),
        ):
            assert made["queued.max.messages.kbytes"] == 4_096
            assert made["fetch.queue.backoff.ms"] == 5
            assert made["queued.min.messages"] == least


class Closing:
    """A client in the last moments of its close: its callbacks still come."""

    def consumer_group_metadata(self) -> bytes:
        raise RuntimeError("Consumer group metadata not available")


def test_a_consumer_that_is_being_closed_is_no_member_any_more() -> None:
    consumer = KafkaGroupConsumer(Closing(), "t", "g")  # type: ignore[arg-type]
    assert not consumer.membership().valid


class TwoBrokers:
    """An admin client whose calls two brokers answer in turn; the second learns late."""

    def __init__(self, learns_after: int) -> None:
        self.asked = 0
        self._learns_after = learns_after
        self._made: dict[str, SimpleNamespace] = {}

    def create_topics(self, topics, request_timeout) -> dict[str, Future[None]]:
        done: Future[None] = Future()
        done.set_result(None)
        replicas = {0: SimpleNamespace(replicas=[1])}
        for topic in topics:
            self._made[topic.topic] = SimpleNamespace(error=None, partitions=replicas)
        return {topic.topic: done for topic in topics}

    def list_topics(self, topic=None, timeout=-1.0) -> SimpleNamespace:
        self.asked += 1
        knows = self.asked % 2 or self.asked > self._learns_after
        unknown = SimpleNamespace(error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), partitions={})
        known = self._made if knows else {}
        return SimpleNamespace(
            topics=known if topic is None else {topic: known.get(topic, unknown)}
        )


def test_a_topic_that_was_just_made_is_waited_for_at_every_broker() -> None:
    admin = KafkaLog(NOBODY).admin()
    admin._client = brokers = TwoBrokers(learns_after=12)
    admin.create_topics([TopicSpec("t", 1)])
    for _ in range(20):
        assert list(admin.topics(["t"])) == ["t"]
    assert brokers.asked > 12
    assert admin.topics(["never-made"]) == {}
