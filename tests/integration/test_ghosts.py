"""A member of the group that no worker stands behind, on a real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from .fleet import Fleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SHOWN_S = 90.0
"""Its partitions lie idle for 20 s before a worker asks who has them."""


class Ghost:
    """What a coordinator remembers: it keeps its session, and nobody works for it."""

    def __init__(self) -> None:
        self.assigned = False

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self.assigned = True
        return {}

    def on_revoke(self, partitions: Sequence[int]) -> None:
        pass

    on_lost = on_revoke


def test_its_partitions_are_worked_on_again(kafka: str, tmp_path: Path) -> None:
    fleet, ghost = Fleet(kafka, f"t{uuid.uuid4().hex[:8]}", tmp_path), Ghost()
    group, topic = fleet.topics.group(fleet.agent.name), fleet.topics.tasks(fleet.agent.name)
    member = fleet.log.group_consumer(group=group, topic=topic, client_id="gone", slot="gone")
    try:
        fleet.apply()
        workers = [fleet.start(slot, ready=True) for slot in ("a", "b")]
        member.subscribe(ghost)

        def in_its_place() -> bool:
            # Once it is there its client goes on to send heartbeats, and we never call it again.
            return ghost.assigned or bool(member.consume(1, 0.05).records)

        fleet.until(in_its_place, "the group has given it partitions")
        fleet.submit([{"number": number} for number in range(60)])
        fleet.until_answered(SHOWN_S)
        assert [worker.code for worker in workers] == [None, None]
        assert any(f"gone is a member of {group} and no worker" in w.log for w in workers)
        members = fleet.log.admin().group(group).members
        assert {member.instance_id for member in members} == {"a", "b"}
        fleet.verify()
    finally:
        fleet.close()
        member.close()
