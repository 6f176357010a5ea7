"""What integration tests share: one broker for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.testing.kafka import Kafka

from .place import Place


@pytest.fixture(scope="session")
def kafka(streams_kafka: Kafka) -> str:
    """The bootstrap address of the run's shared broker."""
    return streams_kafka.bootstrap


@pytest.fixture
def place(tmp_path: Path, kafka: str) -> Iterator[Place]:
    made = Place(tmp_path, kafka)
    yield made
    made.close()


@pytest.fixture
def applied(place: Place) -> Place:
    place.run("topic", "apply", "agents.py", "--partitions", "3")
    return place
