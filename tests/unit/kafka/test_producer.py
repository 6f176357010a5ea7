"""How often, and with how much time, a call of the transaction protocol is made again."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import LogError
from streams.kafka import producer
from streams.kafka.producer import CALL_MIN_S, KafkaTransactionalProducer


class Clock:
    """Stands in for ``time``: it moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """A client whose commits take the time given, and then report an error."""

    def __init__(self, clock: Clock, takes_s: float, kind: int, *, retriable: bool) -> None:
        self._clock = clock
        self._takes_s = takes_s
        self._error = KafkaException(KafkaError(kind, "no answer", False, retriable))
        self.given_s: list[float] = []

    def commit_transaction(self, timeout_s: float) -> None:
        self.given_s.append(timeout_s)
        self._clock.sleep(min(timeout_s, self._takes_s))
        raise self._error


def commit(monkeypatch, takes_s: float, *, retriable: bool = True) -> tuple[Client, Clock]:
    clock = Clock()
    client = Client(clock, takes_s, KafkaError._TIMED_OUT, retriable=retriable)
    monkeypatch.setattr(producer, "time", clock)
    monkeypatch.setattr(producer.config, "make", lambda *_: client)
    sender = KafkaTransactionalProducer({"transactional.id": "t"}, "g")
    with pytest.raises(LogError) as caught:
        sender.commit(5.0)
    assert caught.value.kind == "_TIMED_OUT"
    return client, clock


def test_a_call_that_took_all_of_its_time_is_not_made_again(monkeypatch) -> None:
    client, _ = commit(monkeypatch, takes_s=60.0)
    # With no time left the real client would forget the commit that is under way, and end this
    # process when its outcome comes.
    assert client.given_s == [5.0]


def test_a_call_is_made_again_while_there_is_time_for_it(monkeypatch) -> None:
    client, clock = commit(monkeypatch, takes_s=0.4)
    assert len(client.given_s) > 5
    assert min(client.given_s) >= CALL_MIN_S - producer.RETRY_S
    assert clock.now <= 5.0


def test_an_error_that_is_not_retriable_is_not_tried_again(monkeypatch) -> None:
    client, _ = commit(monkeypatch, takes_s=0.0, retriable=False)
    assert client.given_s == [5.0]
