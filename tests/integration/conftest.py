"""What integration tests share: one broker for the whole run."""

from __future__ import annotations

import pytest

from streams.testing.kafka import Kafka


@pytest.fixture(scope="session")
def kafka(streams_kafka: Kafka) -> str:
    """The bootstrap address of the run's shared broker."""
    return streams_kafka.bootstrap
