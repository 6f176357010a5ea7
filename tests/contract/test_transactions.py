"""Transactions: all or nothing, fencing, refusals."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest

from streams.core.verdicts import REFUSED_KINDS
from streams.errors import LogError
from streams.ports import Committed, Log, Membership, TransactionalProducer

READY_S = 30.0


@pytest.fixture
def group() -> str:
    return f"g-{uuid4().hex[:8]}"


@pytest.fixture
def producer(log: Log, group: str) -> TransactionalProducer:
    made = log.transactional_producer(f"{group}.a", group=group)
    made.init(READY_S)
    return made


def joined(member, until) -> Membership:
    until(lambda: bool(member.owned), member.poll)
    return member.consumer.membership()


def settled(log: Log, group: str, topic: str, partition: int, until) -> Committed | None:
    """The committed offset, once the broker has ended the transaction that wrote it."""
    found: list[Committed | None] = []

    def ask() -> None:
        try:
            found.append(log.admin().committed(group, topic, [partition])[partition])
        except LogError as error:
            assert error.kind == "UNSTABLE_OFFSET_COMMIT"  # noqa: PT017

    until(lambda: bool(found), ask)
    return found[0]


def test_a_commit_shows_records_and_offsets_together(
    log: Log, producer, group, topic_factory, member_factory, read_all, until
) -> None:
    topic = topic_factory(1)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.produce(topic, 0, b"k", b"one", [("h", b"x")])
    producer.send_offsets(topic, {0: Committed(1, "map")}, membership)
    producer.commit(READY_S)
    assert read_all(topic) == [b"one"]
    assert settled(log, group, topic, 0, until) == Committed(1, "map")


def test_an_abort_shows_neither(
    log: Log, producer, group, topic_factory, member_factory, read_all, until
) -> None:
    topic = topic_factory(1)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.produce(topic, 0, None, b"one")
    producer.send_offsets(topic, {0: Committed(1, "map")}, membership)
    producer.abort(READY_S)
    assert read_all(topic) == []
    assert log.admin().committed(group, topic, [0]) == {0: None}


def test_records_behind_an_open_transaction_wait_for_it(
    log: Log, producer, topic_factory, until
) -> None:
    topic = topic_factory(1)
    other = log.transactional_producer(f"other-{uuid4().hex[:8]}", group="other")
    other.init(READY_S)
    other.begin()
    other.produce(topic, 0, None, b"open")
    until(lambda: log.admin().bounds(topic, [0])[0].end == 1)
    plain = log.producer()
    plain.produce(topic, 0, None, b"plain")
    assert plain.flush(READY_S) == 0
    reader = log.reader()
    reader.assign({(topic, 0): 0})
    values: list[bytes | None] = []
    ends: dict[tuple[str, int], int] = {}

    def step() -> None:
        consumed = reader.consume(10, 0.1)
        values.extend(record.value() for record in consumed.records)
        ends.update(consumed.ended)

    until(lambda: bool(ends), step)
    assert (values, ends) == ([], {(topic, 0): 0})
    other.commit(READY_S)
    # The marker of the transaction's end takes an offset too.
    until(lambda: ends == {(topic, 0): 3}, step)
    assert values == [b"open", b"plain"]
    reader.close()
    plain.close()


def test_the_end_that_a_member_is_told_of_lies_behind_markers_and_before_what_is_open(
    log: Log, producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(3)
    for partition in (0, 1):
        producer.begin()
        producer.produce(topic, partition, None, b"kept")
        producer.commit(READY_S)
    producer.begin()
    producer.produce(topic, 0, None, b"dropped")
    until(lambda: log.admin().bounds(topic, [0])[0].end == 3)
    producer.abort(READY_S)
    producer.begin()
    producer.produce(topic, 1, None, b"open")
    until(lambda: log.admin().bounds(topic, [1])[1].end == 3)
    plain = log.producer()
    plain.produce(topic, 1, None, b"behind")
    assert plain.flush(READY_S) == 0
    plain.close()
    member = member_factory(group, topic)
    until(lambda: len(member.ended) == 3, member.poll)
    assert member.ended == {0: 4, 1: 2, 2: 0}
    assert member.values() == [b"kept", b"kept"]
    producer.commit(READY_S)
    until(lambda: member.ended == {0: 4, 1: 5, 2: 0}, member.poll)
    assert sorted(member.values()) == [b"behind", b"kept", b"kept", b"open"]


def test_init_fences_the_older_producer_and_ends_its_transaction(
    log: Log, producer, group, topic_factory, read_all
) -> None:
    topic = topic_factory(1)
    producer.begin()
    producer.produce(topic, 0, None, b"old")
    newer = log.transactional_producer(f"{group}.a", group=group)
    newer.init(READY_S)
    newer.begin()
    newer.produce(topic, 0, None, b"new")
    newer.commit(READY_S)
    assert read_all(topic) == [b"new"]
    with pytest.raises(LogError) as caught:
        producer.commit(READY_S)
    assert caught.value.fatal
    assert caught.value.kind == "_FENCED"


def test_a_stable_read_refuses_what_an_open_transaction_holds(
    log: Log, producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.send_offsets(topic, {0: Committed(7, "m")}, membership)
    with pytest.raises(LogError) as caught:
        log.admin().committed(group, topic, [0])
    assert caught.value.kind == "UNSTABLE_OFFSET_COMMIT"
    assert log.admin().committed(group, topic, [0], stable=False) == {0: None}
    producer.abort(READY_S)


def test_metadata_up_to_the_limit_and_no_longer(
    log: Log, producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.send_offsets(topic, {0: Committed(1, "x" * 4_095)}, membership)
    producer.commit(READY_S)
    assert settled(log, group, topic, 0, until) == Committed(1, "x" * 4_095)
    producer.begin()
    with pytest.raises(LogError) as caught:
        producer.send_offsets(topic, {0: Committed(2, "x" * 4_096)}, membership)
    assert caught.value.kind == "OFFSET_METADATA_TOO_LARGE"
    assert caught.value.abortable
    producer.abort(READY_S)


def test_a_stale_generation_is_refused_and_the_next_transaction_works(
    producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    first = member_factory(group, topic)
    stale = joined(first, until)
    second = member_factory(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
    producer.begin()
    with pytest.raises(LogError) as caught:
        producer.send_offsets(topic, {0: Committed(1, "")}, stale)
    assert caught.value.kind == "ILLEGAL_GENERATION"
    assert caught.value.abortable
    producer.abort(READY_S)
    producer.begin()
    producer.send_offsets(topic, {0: Committed(1, "")}, first.consumer.membership())
    producer.commit(READY_S)


def test_a_member_that_left_is_refused(
    producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    gone = member_factory(group, topic)
    membership = joined(gone, until)
    gone.consumer.unsubscribe()
    stays = member_factory(group, topic)
    joined(stays, until)
    producer.begin()
    with pytest.raises(LogError) as caught:
        producer.send_offsets(topic, {0: Committed(1, "")}, membership)
    assert caught.value.kind == "UNKNOWN_MEMBER_ID"
    assert caught.value.abortable
    producer.abort(READY_S)


def test_the_broker_checks_membership_and_not_ownership(
    log: Log, producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(2)
    first, second = member_factory(group, topic), member_factory(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
    foreign = next(iter(second.owned))
    producer.begin()
    producer.send_offsets(topic, {foreign: Committed(9, "")}, first.consumer.membership())
    producer.commit(READY_S)
    assert settled(log, group, topic, foreign, until) == Committed(9, "")


def test_the_broker_accepts_a_consumer_that_never_joined(
    log: Log, producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    joined(member_factory(group, topic), until)
    stranger = log.group_consumer(group=group, topic=topic, client_id="stranger", slot=None)
    membership = stranger.membership()
    assert not membership.valid
    producer.begin()
    producer.send_offsets(topic, {0: Committed(9, "")}, membership)
    producer.commit(READY_S)
    assert settled(log, group, topic, 0, until) == Committed(9, "")
    stranger.close()


def test_a_record_too_large_names_itself_and_takes_the_transaction_down(
    log: Log, producer, topic_factory, read_all
) -> None:
    topic = topic_factory(1, max_message_bytes="2000")
    producer.begin()
    producer.produce(topic, 0, b"k", os.urandom(5_000))
    with pytest.raises(LogError) as caught:
        producer.commit(READY_S)
    assert caught.value.abortable
    refused = producer.refusals()
    assert [(r.topic, r.partition, r.key, r.error.kind) for r in refused] == [
        (topic, 0, b"k", "MSG_SIZE_TOO_LARGE")
    ]
    producer.abort(READY_S)
    assert read_all(topic) == []


def test_a_new_producer_works_after_a_refusal(
    log: Log, producer, group, topic_factory, read_all
) -> None:
    topic = topic_factory(1, max_message_bytes="2000")
    producer.begin()
    producer.produce(topic, 0, None, os.urandom(5_000))
    with pytest.raises(LogError):
        producer.commit(READY_S)
    producer.abort(READY_S)
    producer.destroy()
    fresh = log.transactional_producer(f"{group}.a", group=group)
    fresh.init(READY_S)
    fresh.begin()
    fresh.produce(topic, 0, None, b"fits")
    fresh.commit(READY_S)
    assert read_all(topic) == [b"fits"]


def test_a_destroyed_producer_leaves_its_transaction_to_the_next(
    log: Log, producer, group, topic_factory, member_factory, read_all, until
) -> None:
    topic = topic_factory(1)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.produce(topic, 0, None, b"lost")
    producer.send_offsets(topic, {0: Committed(1, "")}, membership)
    producer.destroy()
    with pytest.raises(LogError) as caught:
        log.admin().committed(group, topic, [0])
    assert caught.value.kind == "UNSTABLE_OFFSET_COMMIT"
    log.transactional_producer(f"{group}.a", group=group).init(READY_S)
    assert read_all(topic) == []
    assert log.admin().committed(group, topic, [0], stable=False) == {0: None}


def test_a_call_out_of_order_is_a_state_error(producer) -> None:
    with pytest.raises(LogError) as caught:
        producer.commit(READY_S)
    assert caught.value.kind == "_STATE"


def test_an_empty_transaction_commits(producer) -> None:
    for _ in range(2):
        producer.begin()
        producer.commit(READY_S)


def test_metadata_keeps_what_is_not_ascii(
    log: Log, producer, group, topic_factory, member_factory, until
) -> None:
    topic = topic_factory(1)
    membership = joined(member_factory(group, topic), until)
    producer.begin()
    producer.send_offsets(topic, {0: Committed(1, "größer → 大きい")}, membership)
    producer.commit(READY_S)
    assert settled(log, group, topic, 0, until) == Committed(1, "größer → 大きい")


@pytest.mark.parametrize("known", [True, False])
def test_a_partition_that_does_not_exist_names_its_record(
    producer, topic_factory, read_all, known
) -> None:
    topic = topic_factory(1)
    producer.begin()
    if known:
        producer.produce(topic, 0, None, b"before")
        producer.commit(READY_S)
        producer.begin()
    producer.produce(topic, 0, None, b"beside")
    producer.produce(topic, 7, b"k", b"nowhere")
    with pytest.raises(LogError) as caught:
        producer.commit(READY_S)
    assert caught.value.abortable
    refused = producer.refusals()
    assert [(r.topic, r.partition, r.key, r.value) for r in refused] == [
        (topic, 7, b"k", b"nowhere")
    ]
    assert refused[0].error.kind in REFUSED_KINDS
    producer.abort(READY_S)
    assert read_all(topic) == ([b"before"] if known else [])


def test_a_topic_that_does_not_exist_names_its_record(producer, topic_factory, read_all) -> None:
    topic = topic_factory(1)
    producer.begin()
    producer.produce(topic, 0, None, b"beside")
    producer.produce(f"{topic}-missing", 0, b"k", b"nowhere")
    with pytest.raises(LogError) as caught:
        producer.commit(READY_S)
    assert caught.value.abortable
    refused = producer.refusals()
    assert [(r.topic, r.value) for r in refused] == [(f"{topic}-missing", b"nowhere")]
    assert refused[0].error.kind in REFUSED_KINDS
    producer.abort(READY_S)
    assert read_all(topic) == []
