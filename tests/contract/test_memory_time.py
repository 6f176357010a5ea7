"""Time-outs of the memory log: sessions and transactions end by its clock."""

from __future__ import annotations

import pytest

from streams.errors import LogError
from streams.ports import Committed, TopicSpec
from streams.testing.memory import MemoryLog

TOPIC = "tasks"


@pytest.fixture
def log(clock) -> MemoryLog:
    made = MemoryLog(clock)
    made.admin().create_topics([TopicSpec(TOPIC, 4)])
    return made


def two_members(member_factory, until, slots=(None, None)):
    first, second = (member_factory("g", TOPIC, slot) for slot in slots)
    until(lambda: len(first.owned) == len(second.owned) == 2, first.poll, second.poll)
    return first, second


def client_of(log: MemoryLog, member) -> str:
    member_id = member.consumer.membership().member_id
    return next(m.client_id for m in log.admin().group("g").members if m.member_id == member_id)


def test_a_frozen_member_loses_its_partitions_after_the_session(
    log, clock, member_factory, until
) -> None:
    first, second = two_members(member_factory, until)
    before, owned = clock.now, set(second.owned)
    stale = second.consumer.membership()
    log.freeze(client_of(log, second))
    until(lambda: len(first.owned) == 4, first.poll)
    assert 6 <= clock.now - before < 7
    second.poll()
    assert second.owned == owned, "a stopped process knows nothing"
    log.thaw("g.2")
    producer = log.transactional_producer("g.2", group="g")
    producer.init(1)
    producer.begin()
    with pytest.raises(LogError) as caught:
        producer.send_offsets(TOPIC, {0: Committed(1, "")}, stale)
    assert caught.value.kind == "UNKNOWN_MEMBER_ID"
    second.poll()
    assert ("lost", tuple(sorted(owned))) in second.events
    until(lambda: len(first.owned) == len(second.owned) == 2, first.poll, second.poll)
    assert second.consumer.membership().member_id != stale.member_id


def test_a_frozen_member_that_wakes_in_time_keeps_everything(
    log, clock, member_factory, until
) -> None:
    first, second = two_members(member_factory, until)
    events = list(second.events)
    log.freeze("g.2")
    clock.now += 5.9
    first.poll()
    log.thaw("g.2")
    second.poll()
    assert second.events == events
    assert second.consumer.membership().generation == first.consumer.membership().generation


def test_a_killed_member_keeps_its_place_for_the_session_and_can_do_nothing(
    log, clock, member_factory, until
) -> None:
    first, second = two_members(member_factory, until)
    log.kill("g.2")
    before = clock.now
    with pytest.raises(LogError) as caught:
        second.poll()
    assert caught.value.kind == "_DESTROY"
    events = list(second.events)
    second.consumer.close()
    assert second.events == events
    until(lambda: len(first.owned) == 4, first.poll)
    assert 6 <= clock.now - before < 7


def test_a_killed_static_member_is_back_at_once(log, clock, member_factory, until) -> None:
    first, second = two_members(member_factory, until, ("a", "b"))
    first.poll()
    owned, events = set(second.owned), list(first.events)
    log.kill("g.b")
    back = member_factory("g", TOPIC, "b")
    before = clock.now
    until(lambda: back.owned == owned, back.poll, first.poll)
    assert clock.now - before < 0.2
    assert first.events == events


def test_the_older_identity_of_a_slot_is_fenced_from_offsets(log, member_factory, until) -> None:
    older = member_factory("g", TOPIC, "a")
    until(lambda: len(older.owned) == 4, older.poll)
    stale = older.consumer.membership()
    newer = member_factory("g", TOPIC, "a")
    until(lambda: len(newer.owned) == 4, newer.poll)
    producer = log.transactional_producer("x", group="g")
    producer.init(1)
    producer.begin()
    with pytest.raises(LogError) as caught:
        producer.send_offsets(TOPIC, {0: Committed(1, "")}, stale)
    assert caught.value.kind == "FENCED_INSTANCE_ID"


def test_a_member_that_does_not_poll_joins_from_its_heartbeats(
    log, clock, member_factory, until
) -> None:
    idle = member_factory("g", TOPIC)
    until(lambda: len(idle.owned) == 4, idle.poll)
    generation = idle.consumer.membership().generation
    second = member_factory("g", TOPIC)
    until(lambda: second.consumer.membership().generation > generation, second.poll, seconds=1)
    assert second.owned == set()
    assert len(idle.owned) == 4
    until(lambda: len(second.owned) == 2, second.poll, idle.poll)


def test_an_open_transaction_of_a_dead_owner_ends_by_its_time_out(log, clock) -> None:
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()
    producer.produce(TOPIC, 0, None, b"open")
    log.kill("g.a")
    reader = log.reader()
    reader.assign({(TOPIC, 0): 0})
    plain = log.producer()
    plain.produce(TOPIC, 0, None, b"behind")
    clock.now = 4.9
    assert reader.consume(10, 0).records == []
    clock.now = 5.1
    assert [r.value() for r in reader.consume(10, 0).records] == [b"behind"]


def test_a_transaction_that_ran_too_long_fences_its_producer(log, clock) -> None:
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()
    producer.produce(TOPIC, 0, None, b"slow")
    clock.now = 5.1
    for call in (producer.commit, producer.abort, producer.init):
        with pytest.raises(LogError) as caught:
            call(1)
        assert (caught.value.kind, caught.value.fatal) == ("_FENCED", True)


def test_markers_take_an_offset_and_the_end_is_the_end(log) -> None:
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()
    producer.produce(TOPIC, 0, None, b"a")
    producer.abort(1)
    assert log.admin().bounds(TOPIC, [0])[0] == (0, 2)
    reader = log.reader()
    reader.assign({(TOPIC, 0): 0})
    assert reader.consume(10, 0) == ([], [], {(TOPIC, 0): 2})
    assert reader.consume(10, 0) == ([], [], {})


def test_below_the_log_start_is_an_error_and_then_silence(log) -> None:
    plain = log.producer()
    for _ in range(10):
        plain.produce(TOPIC, 0, None, b"v")
    log.delete_before(TOPIC, 0, 6)
    assert log.admin().bounds(TOPIC, [0])[0] == (6, 10)
    reader = log.reader()
    reader.assign({(TOPIC, 0): 5})
    assert [e.kind for e in reader.consume(100, 0).errors] == ["_AUTO_OFFSET_RESET"]
    assert reader.consume(100, 0) == ([], [], {})
    reader.assign({(TOPIC, 0): 6})
    assert [r.offset() for r in reader.consume(100, 0).records] == [6, 7, 8, 9]


def test_a_deleted_topic_refuses_records(log) -> None:
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    log.delete_topic(TOPIC)
    producer.begin()
    producer.produce(TOPIC, 0, None, b"a")
    assert [r.error.kind for r in producer.refusals()] == ["_UNKNOWN_TOPIC"]
    with pytest.raises(LogError):
        producer.commit(1)


def test_the_sequence_is_broken_after_a_record_too_large(log) -> None:
    log.admin().create_topics([TopicSpec("small", 1, {"max.message.bytes": "200"})])
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()
    producer.produce("small", 0, None, b"x" * 300)
    with pytest.raises(LogError):
        producer.commit(1)
    producer.abort(1)
    producer.begin()
    producer.produce("small", 0, None, b"fits")
    with pytest.raises(LogError) as caught:
        producer.commit(1)
    assert caught.value.kind == "OUT_OF_ORDER_SEQUENCE_NUMBER"


def test_a_partition_that_does_not_exist_is_refused(log) -> None:
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()
    producer.produce(TOPIC, 99, None, b"a")
    assert [(r.partition, r.error.kind) for r in producer.refusals()] == [
        (99, "_UNKNOWN_PARTITION")
    ]


def test_a_topic_made_later_reaches_its_waiting_members(log, member_factory, until) -> None:
    early = member_factory("late", "later")
    early.poll()
    assert [e.kind for e in early.errors] == ["UNKNOWN_TOPIC_OR_PART"]
    log.admin().create_topics([TopicSpec("later", 2)])
    until(lambda: early.owned == {0, 1}, early.poll)
