"""Groups: assignment, rebalances, static members."""

from __future__ import annotations

from uuid import uuid4

import pytest

from streams.ports import Log


@pytest.fixture
def group() -> str:
    return f"g-{uuid4().hex[:8]}"


def fill(log: Log, topic: str, partitions: int, each: int = 1) -> None:
    producer = log.producer()
    for number in range(each):
        for partition in range(partitions):
            producer.produce(topic, partition, None, f"{partition}:{number}".encode())
    assert producer.flush(30) == 0
    producer.close()


def test_one_member_gets_everything_and_reads_in_order(
    log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(3)
    fill(log, topic, 3, each=5)
    member = member_factory(group, topic)
    until(lambda: len(member.records) == 15, member.poll)
    assert member.owned == {0, 1, 2}
    for partition in range(3):
        own = [r for r in member.records if r.partition() == partition]
        assert [r.offset() for r in own] == [0, 1, 2, 3, 4]
        assert own[0].topic() == topic
        assert own[0].timestamp()[0] == 2
    membership = member.consumer.membership()
    assert membership.valid


def test_reading_begins_where_on_assign_says(
    log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    fill(log, topic, 1, each=5)
    member = member_factory(group, topic, start=lambda partitions: dict.fromkeys(partitions, 3))
    until(lambda: len(member.records) == 2, member.poll)
    assert [r.offset() for r in member.records] == [3, 4]


def test_a_second_member_takes_half_and_the_rest_stays(
    group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(4)
    first = member_factory(group, topic)
    until(lambda: len(first.owned) == 4, first.poll)
    second = member_factory(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 2, first.poll, second.poll)
    assert first.owned | second.owned == {0, 1, 2, 3}
    revoked = {p for what, which in first.events if what == "revoke" for p in which}
    assert revoked == second.owned
    assert not any(what == "lost" for what, _ in first.events)


def test_what_a_member_leaves_goes_to_the_others(
    group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(4)
    first, second = member_factory(group, topic), member_factory(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 2, first.poll, second.poll)
    second.consumer.unsubscribe()
    assert second.owned == set()
    until(lambda: first.owned == {0, 1, 2, 3}, first.poll)


def test_generations_grow(group, topic_factory, member_factory, until) -> None:
    topic = topic_factory(2)
    first = member_factory(group, topic)
    until(lambda: len(first.owned) == 2, first.poll)
    before = first.consumer.membership()
    second = member_factory(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
    after = first.consumer.membership()
    assert after.generation > before.generation
    assert after.member_id == before.member_id


def test_a_paused_partition_is_not_read_until_resumed(
    log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    member = member_factory(group, topic)
    until(lambda: len(member.owned) == 2, member.poll)
    member.consumer.pause([0])
    fill(log, topic, 2)
    until(lambda: b"1:0" in member.values(), member.poll)
    for _ in range(5):
        member.poll()
    assert member.values() == [b"1:0"]
    member.consumer.resume([0])
    until(lambda: b"0:0" in member.values(), member.poll)


def test_a_partition_that_was_paused_when_it_was_given_up_is_read_when_it_comes_back(
    log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    first = member_factory(group, topic)
    until(lambda: len(first.owned) == 2, first.poll)
    first.consumer.pause([0, 1])
    other = member_factory(group, topic)
    until(lambda: len(first.owned) == len(other.owned) == 1, first.poll, other.poll)
    (moved,) = other.owned
    other.consumer.unsubscribe()
    until(lambda: len(first.owned) == 2, first.poll)
    fill(log, topic, 2)
    until(lambda: f"{moved}:0".encode() in first.values(), first.poll)
    for _ in range(5):
        first.poll()
    assert first.values() == [f"{moved}:0".encode()], "the other one is still paused"


def test_an_offset_beyond_the_end_is_an_error_and_then_silence(
    log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    fill(log, topic, 1)
    member = member_factory(group, topic, start=lambda partitions: dict.fromkeys(partitions, 50))
    until(lambda: bool(member.errors), member.poll)
    assert [e.kind for e in member.errors] == ["_AUTO_OFFSET_RESET"]
    assert (member.errors[0].topic, member.errors[0].partition) == (topic, 0)
    for _ in range(5):
        member.poll()
    assert len(member.errors) == 1
    assert member.records == []


def test_a_static_member_that_only_closes_keeps_its_partitions_for_its_return(
    group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(4)
    leaver, stays = member_factory(group, topic, "a"), member_factory(group, topic, "b")
    until(lambda: len(leaver.owned) == len(stays.owned) == 2, leaver.poll, stays.poll)
    owned, moves = set(leaver.owned), stays.moves()
    leaver.consumer.close()
    returns = member_factory(group, topic, "a")
    until(lambda: returns.owned == owned, returns.poll, stays.poll)
    assert stays.moves() == moves


def test_of_two_static_members_of_one_slot_the_older_is_told_fatal(
    group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    older = member_factory(group, topic, "a")
    until(lambda: len(older.owned) == 2, older.poll)
    newer = member_factory(group, topic, "a")
    until(lambda: len(newer.owned) == 2, newer.poll)
    until(lambda: bool(older.errors), older.poll, newer.poll)
    assert older.errors[0].kind == "_FATAL"


def test_a_static_member_that_unsubscribes_leaves(
    group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    leaver, stays = member_factory(group, topic, "a"), member_factory(group, topic, "b")
    until(lambda: len(leaver.owned) == len(stays.owned) == 1, leaver.poll, stays.poll)
    leaver.consumer.unsubscribe()
    until(lambda: len(stays.owned) == 2, stays.poll, seconds=5)


def test_what_on_assign_raises_comes_out_of_consume_and_nothing_is_read(
    log, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    fill(log, topic, 1)

    def fail(partitions):
        if partitions:
            raise RuntimeError("no map")
        return {}

    member = member_factory(group, topic, start=fail)
    with pytest.raises(RuntimeError, match="no map"):
        until(lambda: False, member.poll)
    for _ in range(5):
        member.poll()
    assert member.owned == {0}
    assert member.records == []


def test_what_on_revoke_raises_comes_out_of_consume_and_the_partitions_move_on(
    group, topic_factory, member_factory, until, monkeypatch
) -> None:
    topic = topic_factory(2)
    first = member_factory(group, topic)
    until(lambda: len(first.owned) == 2, first.poll)
    told = first.on_revoke
    raised = []

    def fail(partitions):
        told(partitions)
        if not raised:
            raise RuntimeError("no flush")

    def poll() -> None:
        try:
            first.poll()
        except RuntimeError as error:
            raised.append(error)

    monkeypatch.setattr(first, "on_revoke", fail)
    second = member_factory(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 1, poll, second.poll)
    assert [str(error) for error in raised] == ["no flush"]


def test_a_static_member_replaced_while_it_gives_up_leaves_partitions_to_nobody(
    log, group, topic_factory, member_factory, until
) -> None:
    """Its successor gets what it was to keep, and no one what it was to give up."""
    topic = topic_factory(4)
    older = member_factory(group, topic, slot="a")
    until(lambda: len(older.owned) == 4, older.poll)
    successors = []

    def replaced(partitions) -> None:
        newer = member_factory(group, topic, slot="a")
        successors.append(newer)
        until(lambda: len(newer.owned) == 2, newer.poll)

    older.on_revoke = replaced
    other = member_factory(group, topic, slot="b")
    until(lambda: bool(successors), other.poll, older.poll)
    (newer,) = successors
    rounds = iter(range(60))
    until(lambda: next(rounds) == 59, newer.poll, other.poll)
    assert log.admin().group(group).state == "stable"
    assert len(newer.owned) + len(other.owned) == 2
    third = member_factory(group, topic, slot="c")
    members = (newer, other, third)
    until(
        lambda: sorted(p for m in members for p in m.owned) == [0, 1, 2, 3],
        *(member.poll for member in members),
    )
