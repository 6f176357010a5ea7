"""The lane runs when it is asked for: ``STREAMS_FAULT=1 pytest tests/fault``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
def new_fleet(tmp_path: Path) -> Iterator[Callable[[str], Fleet]]:
    """Makes deployments on a broker; their workers end with the test."""
    fleets: list[Fleet] = []

    def make(bootstrap: str) -> Fleet:
        fleets.append(Fleet(bootstrap, f"fault{len(fleets)}", tmp_path))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()
