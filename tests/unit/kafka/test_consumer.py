"""A consumer whose client does not end."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.errors import LogError
from streams.kafka.consumer import KafkaGroupConsumer


def consumer(close: Any) -> KafkaGroupConsumer:
    client: Any = SimpleNamespace(close=close, consume=lambda messages_max, timeout_s: [])
    return KafkaGroupConsumer(client, "t", "g")


def test_a_client_that_does_not_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streams.kafka.consumer.CLOSE_TIMEOUT_S", 0.05)
    never = threading.Event()
    tested = consumer(never.wait)
    tested.close()
    assert "does not end" in caplog.text
    tested.close()
    never.set()


class Closing:
    """A client that is given partitions while it closes, and gives them up, as it may be."""

    def __init__(self, until: threading.Event | None = None) -> None:
        self.until = until
        self.assigned: list[Any] = []

    def subscribe(self, topics: Any, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on_assign, self.on_revoke = on_assign, on_revoke

    def consume(self, messages_max: int, timeout_s: float) -> list[Any]:
        """Nothing waits to be called back."""
        return []

    def close(self) -> None:
        if self.until is not None:
            self.until.wait()
        places = [TopicPartition("t", 8)]
        self.on_assign(self, places)
        self.on_revoke(self, places)

    def incremental_assign(self, places: Any) -> None:
        self.assigned += places

    def incremental_unassign(self, places: Any) -> None:
        self.assigned.clear()

    pause = resume = incremental_unassign


class Listens:
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_assign(self, partitions: Any) -> dict[int, int]:
        self.told.append("assign")
        return dict.fromkeys(partitions, 0)

    def on_revoke(self, partitions: Any) -> None:
        self.told.append("revoke")

    on_lost = on_revoke


def test_what_a_client_is_given_while_it_closes_is_nobodys() -> None:
    client, listener = Closing(), Listens()
    tested = KafkaGroupConsumer(client, "t", "g")  # type: ignore[arg-type]
    tested.subscribe(listener)
    tested.close()
    assert listener.told == ["revoke"]
    assert client.assigned == []


def test_a_client_that_was_left_behind_tells_nobody_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.kafka.consumer.CLOSE_TIMEOUT_S", 0.05)
    late = threading.Event()
    client, listener = Closing(late), Listens()
    tested = KafkaGroupConsumer(client, "t", "g")  # type: ignore[arg-type]
    tested.subscribe(listener)
    tested.close()
    late.set()
    (closing,) = (thread for thread in threading.enumerate() if thread.name == "close")
    closing.join(10)
    assert listener.told == []


def test_what_closing_raises_comes_out_of_it() -> None:
    def refuse() -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with pytest.raises(LogError, match="_TRANSPORT"):
        consumer(refuse).close()
