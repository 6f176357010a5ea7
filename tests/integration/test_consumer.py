"""A member of a group on a real broker, where the client alone would go wrong."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

import pytest

from streams.kafka.log import KafkaLog
from streams.ports import TopicSpec

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0
FENCED_S = 1.5
"""In which a member that was replaced sends five heartbeats, and is told so at the first."""


class Owner:
    """Takes what it is given."""

    def __init__(self) -> None:
        self.owned: set[int] = set()

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self.owned.update(partitions)
        return dict.fromkeys(partitions, 0)

    def on_revoke(self, partitions: Sequence[int]) -> None:
        self.owned.difference_update(partitions)

    on_lost = on_revoke


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"


def test_one_that_was_replaced_before_it_took_its_partitions_ends(
    kafka: str, caplog: pytest.LogCaptureFixture
) -> None:
    log, group, topic = KafkaLog(kafka), f"g-{uuid.uuid4().hex[:8]}", f"t-{uuid.uuid4().hex[:8]}"
    log.admin().create_topics([TopicSpec(topic, 2)])
    older, newer = (
        log.group_consumer(group=group, topic=topic, client_id=name, slot="a")
        for name in ("older", "newer")
    )
    # Its client joins by itself; what it then has to say is never asked for.
    older.subscribe(Owner())
    until(lambda: log.admin().group(group).state == "stable")
    owner = Owner()
    newer.subscribe(owner)
    until(lambda: not newer.consume(1, 0.1).records and len(owner.owned) == 2)
    fenced_at = time.monotonic() + FENCED_S
    until(lambda: not newer.consume(1, 0.1).records and time.monotonic() > fenced_at)
    with caplog.at_level(logging.WARNING, "streams.kafka"):
        older.close()
    newer.close()
    assert "left behind" not in caplog.text
