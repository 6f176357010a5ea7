"""What integration tests share: one broker for the whole run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.testing.kafka import Kafka

from .fleet import Fleet
from .place import Place


@pytest.fixture(scope="session")
def kafka(streams_kafka: Kafka) -> str:
    """The bootstrap address of the run's shared broker."""
    return streams_kafka.bootstrap


@pytest.fixture
def new_fleet(tmp_path: Path) -> Iterator[Callable[[str], Fleet]]:
    """Makes deployments with topics of their own; their workers end with the test."""
    fleets: list[Fleet] = []

    def make(bootstrap: str) -> Fleet:
        fleets.append(Fleet(bootstrap, f"t{uuid.uuid4().hex[:8]}", tmp_path))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def fleet(kafka: str, new_fleet: Callable[[str], Fleet]) -> Fleet:
    return new_fleet(kafka)


@pytest.fixture
def place(tmp_path: Path, kafka: str) -> Iterator[Place]:
    made = Place(tmp_path, kafka)
    yield made
    made.close()


@pytest.fixture
def applied(place: Place) -> Place:
    place.run("topic", "apply", "agents.py", "--partitions", "3")
    return place
