"""A consumer whose client does not end."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import LogError
from streams.kafka.consumer import KafkaGroupConsumer


def consumer(close: Any) -> KafkaGroupConsumer:
    client: Any = SimpleNamespace(close=close)
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


def test_what_closing_raises_comes_out_of_it() -> None:
    def refuse() -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with pytest.raises(LogError, match="_TRANSPORT"):
        consumer(refuse).close()
