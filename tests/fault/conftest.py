"""The lane runs when it is asked for: ``STREAMS_FAULT=1 pytest tests/fault``."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.fleet import Fleet

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lane = [item for item in items if HERE in item.path.parents]
    for item in lane:
        item.add_marker(pytest.mark.fault)
    if lane and not os.environ.get("STREAMS_FAULT"):
        items[:] = [item for item in items if item not in lane]
        config.hook.pytest_deselected(items=lane)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test sets up, ended in reverse: workers before their brokers."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def new_fleet(stack: ExitStack, tmp_path: Path) -> Callable[[str], Fleet]:
    """Makes a deployment on a broker, with its topics; its workers end before the broker."""

    def make(bootstrap: str) -> Fleet:
        fleet = Fleet(bootstrap, f"t{uuid.uuid4().hex[:8]}", tmp_path)
        stack.callback(fleet.close)
        fleet.apply()
        return fleet

    return make
