"""A broker's disk is full: workers wait, nothing is lost, and all goes on when there is room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.broker.process import is_alive
from streams.testing import Kafka
from tests.integration.fleet import Fleet, now_micros

from . import disk
from .disk import Disk

NEEDS = disk.needs()
pytestmark = pytest.mark.skipif(NEEDS is not None, reason=f"a full disk {NEEDS}")

TASKS = 600


@pytest.mark.parametrize("brokers", [1, 3], ids=["the only broker", "one of three brokers"])
def test_a_full_disk_loses_nothing(brokers: int, new_fleet: Callable[[str], Fleet]) -> None:
    with Disk() as full, Kafka(brokers, properties=full.properties) as kafka:
        fleet = new_fleet(kafka.bootstrap)
        fleet.apply()
        members = [fleet.start(slot, ready=True) for slot in ("a", "b")]
        fleet.submit([{"number": n, "seconds": 0.2} for n in range(TASKS)])
        fleet.until(lambda: len(fleet.results) >= 50, "they are at work")
        full.fill()
        assert full.free_bytes == 0
        pid = kafka.pid(1)
        fleet.until(lambda: not is_alive(pid, "kafka.Kafka"), "the broker gave up")
        assert brokers == 3 or len(fleet.results) < TASKS
        full.free()
        freed_at = now_micros()
        kafka.restart(1)
        fleet.submit([{"number": n, "seconds": 0.05} for n in range(TASKS, TASKS + 100)])
        fleet.until_answered(60)
        print(f"recovery: {fleet.recovery_s(freed_at, range(6))} s from the room there was again")
        assert [member.code for member in members] == [None, None]
        fleet.verify()
        for member in members:
            assert "Traceback" not in member.log
            assert "bug" not in member.log
        fleet.close()
