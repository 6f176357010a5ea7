"""The pytest plugin. It is loaded in every test run of every user: it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streams.testing.fleet import Fleet
    from streams.testing.kafka import Kafka


@pytest.fixture(scope="session")
def streams_kafka() -> Iterator[Kafka]:
    """A real Kafka of one broker, shared by the whole run; its address is ``.bootstrap``."""
    from streams.testing.kafka import Kafka

    with Kafka() as kafka:
        yield kafka


@pytest.fixture
def streams_fleet() -> type[Fleet]:
    """Agents on the real runtime in memory: ``async with streams_fleet(agent) as client``.

    It needs asyncio's own loop, fresh: run the test's coroutine with ``asyncio.run``.
    """
    from streams.testing.fleet import Fleet

    return Fleet
