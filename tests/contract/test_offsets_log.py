"""What a group has committed, from the log of its coordinator: the same as the coordinator says."""

from __future__ import annotations

from uuid import uuid4

import pytest

from streams.errors import LogError
from streams.ports import Committed, Log, Membership

READY_S = 30.0
MAPS = ["", "map", "größer → 大きい", "x" * 127, "x" * 128, "x" * 4_095]


@pytest.fixture
def group() -> str:
    return f"g-{uuid4().hex[:8]}"


def joined(member, until) -> Membership:
    until(lambda: bool(member.owned), member.poll)
    return member.consumer.membership()


def both(log: Log, group: str, topic: str, partitions: list[int], until) -> list[dict]:
    """As the coordinator says it and as its log does, when no transaction holds anything."""
    found: list[dict] = []

    def ask() -> None:
        try:
            said = log.admin().committed(group, topic, partitions)
            found.extend([said, log.admin().committed_in_log(group, topic, partitions)])
        except LogError as error:
            assert error.kind == "UNSTABLE_OFFSET_COMMIT"  # noqa: PT017

    until(lambda: bool(found), ask)
    return found


def test_what_was_committed_aborted_and_set_by_hand(
    log: Log, group, topic_factory, member_factory, until
) -> None:
    topic, other = topic_factory(len(MAPS) + 1), topic_factory(1)
    producer = log.transactional_producer(f"{group}.a", group=group)
    producer.init(READY_S)
    member = member_factory(group, topic)
    membership = joined(member, until)
    for offset in (1, 2):
        producer.begin()
        offsets = {p: Committed(offset, text) for p, text in enumerate(MAPS)}
        producer.send_offsets(topic, offsets, membership)
        producer.commit(READY_S)
    producer.begin()
    producer.send_offsets(topic, {p: Committed(3, "aborted") for p in (0, 6)}, membership)
    producer.abort(READY_S)
    expected = {p: Committed(2, text) for p, text in enumerate(MAPS)} | {6: None}
    said, logged = both(log, group, topic, list(range(7)), until)
    assert said == expected
    assert logged == expected
    producer.destroy()
    member.consumer.close()
    until(lambda: log.admin().group(group).state == "empty", lambda: None)
    log.admin().set_committed(group, topic, {1: Committed(0, "")})
    log.admin().set_committed(group, other, {0: Committed(9, "note")})
    said, logged = both(log, group, topic, [1, 2], until)
    assert said == logged == {1: Committed(0, ""), 2: expected[2]}
    assert both(log, group, other, [0], until) == [{0: Committed(9, "note")}] * 2


def test_a_group_that_never_committed_has_nothing(log: Log, group, topic_factory) -> None:
    topic = topic_factory(1)
    log.admin().set_committed(f"{group}-other", topic, {0: Committed(1, "")})
    assert log.admin().committed_in_log(group, topic, [0]) == {0: None}


def test_what_an_open_transaction_holds_is_refused_and_the_rest_is_not(
    log: Log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    producer = log.transactional_producer(f"{group}.a", group=group)
    producer.init(READY_S)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.send_offsets(topic, {0: Committed(7, "m")}, membership)
    with pytest.raises(LogError) as caught:
        log.admin().committed_in_log(group, topic, [0, 1])
    assert caught.value.kind == "UNSTABLE_OFFSET_COMMIT"
    assert log.admin().committed_in_log(group, topic, [1]) == {1: None}
    producer.abort(READY_S)
