"""Faults: every error a client can give, before or after the call took effect."""

from __future__ import annotations

import pytest

from streams.errors import LogError
from streams.ports import Committed, TopicSpec
from streams.testing.memory import Call, MemoryLog

TOPIC = "tasks"


@pytest.fixture
def log(clock) -> MemoryLog:
    made = MemoryLog(clock)
    made.admin().create_topics([TopicSpec(TOPIC, 2)])
    return made


class Once:
    """Raises one error at the first call of a method, before or after it took effect."""

    def __init__(self, method: str, error: LogError, *, applied: bool = False) -> None:
        self.method, self.error, self.applied = method, error, applied
        self.spent = False

    def __call__(self, call: Call) -> None:
        if (call.method, call.applied) == (self.method, self.applied) and not self.spent:
            self.spent = True
            raise self.error


def opened(log: MemoryLog):
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()
    producer.produce(TOPIC, 0, b"k", b"v")
    return producer


def values(log: MemoryLog) -> list[bytes | None]:
    reader = log.reader()
    reader.assign({(TOPIC, 0): 0})
    return [record.value() for record in reader.consume(100, 0).records]


@pytest.mark.parametrize("applied", [False, True])
def test_a_commit_with_unknown_outcome_was_applied_or_not(log, applied: bool) -> None:
    producer = opened(log)
    log.faults.append(Once("commit", LogError("_TIMED_OUT", retriable=True), applied=applied))
    with pytest.raises(LogError, match="_TIMED_OUT"):
        producer.commit(1)
    assert values(log) == ([b"v"] if applied else [])
    with pytest.raises(LogError, match="_STATE"):
        producer.abort(1)
    producer.destroy()
    log.transactional_producer("g.a", group="g").init(1)
    assert values(log) == ([b"v"] if applied else [])


@pytest.mark.parametrize("applied", [False, True])
def test_a_commit_with_unknown_outcome_can_be_asked_again(log, applied: bool) -> None:
    producer = opened(log)
    log.faults.append(Once("commit", LogError("_TIMED_OUT", retriable=True), applied=applied))
    with pytest.raises(LogError):
        producer.commit(1)
    producer.commit(1)
    assert values(log) == [b"v"]
    producer.begin()
    producer.commit(1)


@pytest.mark.parametrize(
    "kind", ["_INCONSISTENT", "OUT_OF_ORDER_SEQUENCE_NUMBER", "TOPIC_AUTHORIZATION_FAILED"]
)
def test_an_abortable_error_needs_an_abort(log, kind: str) -> None:
    producer = opened(log)
    log.faults.append(Once("commit", LogError(kind, abortable=True)))
    for _ in range(2):
        with pytest.raises(LogError, match=kind):
            producer.commit(1)
    producer.abort(1)
    assert values(log) == []
    producer.begin()
    producer.produce(TOPIC, 0, None, b"next")
    producer.commit(1)
    assert values(log) == [b"next"]


def test_an_abort_may_be_fatal_itself(log) -> None:
    producer = opened(log)
    log.faults.append(Once("abort", LogError("INVALID_TXN_STATE", fatal=True)))
    for call in (producer.abort, producer.commit):
        with pytest.raises(LogError, match="INVALID_TXN_STATE"):
            call(1)


@pytest.mark.parametrize("kind", ["INVALID_TIMESTAMP", "INVALID_RECORD", "_PURGE_QUEUE"])
def test_a_delivery_fault_is_a_refusal(log, kind: str) -> None:
    producer = log.transactional_producer("g.a", group="g")
    producer.init(1)
    producer.begin()

    def refuse(call: Call) -> None:
        if call.method == "deliver" and not call.applied and call.args[2] == b"bad":
            raise LogError(kind, abortable=True)

    log.faults.append(refuse)
    producer.produce(TOPIC, 0, b"good", b"1")
    producer.produce(TOPIC, 0, b"bad", b"2")
    producer.produce(TOPIC, 0, b"good", b"3")
    assert [(r.key, r.error.kind) for r in producer.refusals()] == [(b"bad", kind)]
    with pytest.raises(LogError) as caught:
        producer.commit(1)
    assert (caught.value.kind, caught.value.abortable) == (kind, True)
    producer.abort(1)
    producer.begin()
    assert producer.refusals() == []


def test_offsets_sent_and_their_answer_lost_are_undone_by_an_abort(log) -> None:
    producer = opened(log)
    stranger = log.group_consumer(group="g", topic=TOPIC, client_id="c", slot=None).membership()
    log.faults.append(Once("send_offsets", LogError("_TIMED_OUT"), applied=True))
    with pytest.raises(LogError):
        producer.send_offsets(TOPIC, {0: Committed(3, "")}, stranger)
    with pytest.raises(LogError, match="UNSTABLE_OFFSET_COMMIT"):
        log.admin().committed("g", TOPIC, [0])
    producer.abort(1)
    assert log.admin().committed("g", TOPIC, [0]) == {0: None}


def test_errors_of_consume_are_messages_and_take_nothing_away(log, member_factory, until) -> None:
    log.producer().produce(TOPIC, 0, None, b"v")
    member = member_factory("g", TOPIC)
    log.faults.append(Once("consume", LogError("_TRANSPORT")))
    log.faults.append(Once("consume", LogError("_ALL_BROKERS_DOWN"), applied=True))
    until(lambda: bool(member.records), member.poll)
    assert [e.kind for e in member.errors] == ["_TRANSPORT", "_ALL_BROKERS_DOWN"]
    assert member.values() == [b"v"]


def test_faults_see_who_calls_what(log) -> None:
    seen: list[tuple[str, str, bool]] = []
    log.faults.append(lambda call: seen.append((call.client, call.method, call.applied)))
    producer = opened(log)
    producer.commit(1)
    assert seen == [
        ("g.a", "init", False),
        ("g.a", "init", True),
        ("g.a", "begin", False),
        ("g.a", "begin", True),
        ("g.a", "produce", False),
        ("g.a", "deliver", False),
        ("g.a", "deliver", True),
        ("g.a", "produce", True),
        ("g.a", "commit", False),
        ("g.a", "commit", True),
    ]


def test_a_full_queue_is_raised_and_a_lost_report_still_delivers(log) -> None:
    plain = log.producer()
    reports: list[LogError | None] = []
    log.faults.append(Once("produce", LogError("_QUEUE_FULL", retriable=True)))
    with pytest.raises(LogError, match="_QUEUE_FULL"):
        plain.produce(TOPIC, 0, None, b"v", None, reports.append)
    log.faults.append(Once("deliver", LogError("_MSG_TIMED_OUT"), applied=True))
    plain.produce(TOPIC, 0, None, b"v", None, reports.append)
    assert plain.poll(0) == 1
    assert [r.kind for r in reports if r] == ["_MSG_TIMED_OUT"]
    assert values(log) == [b"v"]


def test_admin_faults_raise(log) -> None:
    log.faults.append(Once("topics", LogError("_TIMED_OUT", retriable=True)))
    with pytest.raises(LogError, match="_TIMED_OUT"):
        log.admin().topics()
    assert TOPIC in log.admin().topics()


def test_an_exception_in_a_callback_leaves_the_group_going_on(log, member_factory, until) -> None:
    first = member_factory("g", TOPIC)
    until(lambda: len(first.owned) == 2, first.poll)
    second = member_factory("g", TOPIC)

    def fails(partitions: object) -> None:
        raise ZeroDivisionError

    first.on_revoke = fails  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        until(lambda: len(second.owned) == 1, second.poll, first.poll)
    del first.on_revoke
    until(lambda: len(second.owned) == 1, second.poll, first.poll)
