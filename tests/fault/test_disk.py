"""A broker's disk is full: workers wait, nothing is lost, and all goes on when there is room."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from . import disk
from .disk import Disk, FullDisk

NEEDS = disk.needs()
pytestmark = pytest.mark.skipif(NEEDS is not None, reason=f"a full disk {NEEDS}")


@pytest.mark.parametrize("brokers", [1, 3], ids=["the only broker", "one of three brokers"])
def test_a_full_disk_loses_nothing(brokers: int, tmp_path: Path) -> None:
    outcome = FullDisk(brokers).run(tmp_path, random.Random(0))
    assert list(outcome.violations) == []
    assert outcome.tasks == disk.TASKS + disk.MORE


def test_a_full_disk_refuses_what_is_written_until_it_is_freed() -> None:
    with Disk(size_mb=8) as small:
        small.fill()
        assert small.free_bytes == 0
        small.free()
        assert small.free_bytes > 7_000_000
        place = small.path
    assert not place.exists()
