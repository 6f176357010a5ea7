"""The group's coordinator dies and does not come back: another broker takes its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.testing import Kafka

from .fleet import Fleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

TASKS = 1_500


def coordinator_of(bootstrap: str, group: str) -> int:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return admin.describe_consumer_groups([group])[group].result(10).coordinator.id


def test_workers_go_on_with_another_coordinator(tmp_path: Path) -> None:
    with Kafka(brokers=3) as kafka:
        fleet = Fleet(kafka.bootstrap, "coordinator", tmp_path)
        try:
            fleet.apply()
            members = [fleet.start(slot, ready=True) for slot in ("a", "b")]
            fleet.submit([{"number": n, "seconds": 0.1} for n in range(TASKS)])
            fleet.until(lambda: len(fleet.results) >= 100, "they are at work")
            group = fleet.topics.group("labour")
            kafka.kill(coordinator_of(kafka.bootstrap, group))
            assert len(fleet.results) < TASKS
            fleet.until_answered(90)
            assert [member.code for member in members] == [None, None]
            fleet.verify()
        finally:
            fleet.close()
