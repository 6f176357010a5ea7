"""Reading without a group."""

from __future__ import annotations

import os

from streams.ports import START, Log


def fill(log: Log, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = log.producer()
    for value in values:
        producer.produce(topic, partition, b"k", value, [("h", b"1")])
    assert producer.flush(30) == 0
    producer.close()


def test_each_end_is_named_again_when_more_came(log: Log, topic_factory, until) -> None:
    topic = topic_factory(2)
    fill(log, topic, [b"a", b"b"])
    reader = log.reader()
    reader.assign({(topic, 0): 0, (topic, 1): 0})
    values: list[bytes | None] = []
    ended: list[tuple[str, int]] = []

    def step() -> None:
        consumed = reader.consume(10, 0.1)
        values.extend(record.value() for record in consumed.records)
        ended.extend(consumed.ended)

    until(lambda: set(ended) == {(topic, 0), (topic, 1)}, step)
    assert values == [b"a", b"b"]
    ended.clear()
    fill(log, topic, [b"c"])
    until(lambda: bool(ended), step)
    assert values == [b"a", b"b", b"c"]
    assert ended == [(topic, 0)]
    reader.close()


def test_a_new_assignment_replaces_the_old(log: Log, topic_factory, until) -> None:
    topic = topic_factory(2)
    fill(log, topic, [b"a", b"b"], 0)
    fill(log, topic, [b"c"], 1)
    reader = log.reader()
    reader.assign({(topic, 0): 1})
    values: list[bytes | None] = []

    def step() -> None:
        values.extend(record.value() for record in reader.consume(10, 0.1).records)

    until(lambda: values == [b"b"], step)
    reader.assign({(topic, 1): 0})
    until(lambda: values == [b"b", b"c"], step)
    reader.close()


def test_a_partition_assigned_again_as_before_goes_on_where_it_is(
    log: Log, topic_factory, until
) -> None:
    topic = topic_factory(2)
    fill(log, topic, [b"a", b"b"], 0)
    fill(log, topic, [b"c"], 1)
    reader = log.reader()
    reader.assign({(topic, 0): 0})
    values: list[bytes | None] = []

    def step() -> None:
        values.extend(record.value() for record in reader.consume(10, 0.1).records)

    until(lambda: values == [b"a", b"b"], step)
    reader.assign({(topic, 0): 0, (topic, 1): 0})
    until(lambda: len(values) == 3, step)
    fill(log, topic, [b"d"], 0)
    until(lambda: len(values) == 4, step)
    assert values == [b"a", b"b", b"c", b"d"]
    reader.assign({(topic, 0): 1})
    until(lambda: len(values) == 6, step)
    assert values[4:] == [b"b", b"d"]
    reader.close()


def test_an_offset_that_does_not_exist_is_an_error_of_its_partition(
    log: Log, topic_factory, until
) -> None:
    topic = topic_factory(1)
    reader = log.reader()
    reader.assign({(topic, 0): 50})
    errors = []
    until(lambda: bool(errors), lambda: errors.extend(reader.consume(10, 0.1).errors))
    assert (errors[0].kind, errors[0].topic, errors[0].partition) == (
        "_AUTO_OFFSET_RESET",
        topic,
        0,
    )
    reader.close()


def test_a_partition_is_read_from_its_start_after_such_an_error_when_it_is_assigned_anew(
    log: Log, topic_factory, delete_before, until
) -> None:
    topic = topic_factory(2)
    fill(log, topic, [b"deleted", b"a", b"b"])
    delete_before(topic, 0, 1)
    fill(log, topic, [b"c"], 1)
    reader = log.reader()
    errors, values = [], []

    def step() -> None:
        consumed = reader.consume(10, 0.1)
        errors.extend(consumed.errors)
        values.extend(record.value() for record in consumed.records)

    reader.assign({(topic, 0): 50, (topic, 1): 0})
    until(lambda: bool(errors) and values == [b"c"], step)
    reader.assign({(topic, 1): 0})
    reader.assign({(topic, 0): START, (topic, 1): 0})
    until(lambda: len(values) == 3, step)
    fill(log, topic, [b"d"])
    reader.assign({(topic, 0): START})
    until(lambda: len(values) == 4, step)
    assert values == [b"c", b"a", b"b", b"d"]
    assert [error.kind for error in errors] == ["_AUTO_OFFSET_RESET"]
    reader.close()


def test_a_record_keeps_key_value_and_headers(log: Log, topic_factory, until) -> None:
    topic = topic_factory(1)
    fill(log, topic, [b"a"])
    reader = log.reader()
    reader.assign({(topic, 0): 0})
    found = []
    until(lambda: bool(found), lambda: found.extend(reader.consume(10, 0.1).records))
    record = found[0]
    assert (record.topic(), record.partition(), record.offset()) == (topic, 0, 0)
    assert (record.key(), record.value(), list(record.headers())) == (b"k", b"a", [("h", b"1")])
    assert record.timestamp()[0] == 2
    assert record.timestamp()[1] > 0
    reader.close()


def test_a_delivery_report_says_what_became_of_a_record(log: Log, topic_factory, until) -> None:
    topic = topic_factory(1, max_message_bytes="2000")
    producer = log.producer()
    reports = []
    producer.produce(topic, 0, None, b"fits", None, reports.append)
    until(lambda: len(reports) == 1, lambda: producer.poll(0.1))
    producer.produce(topic, 0, None, os.urandom(5_000), None, reports.append)
    until(lambda: len(reports) == 2, lambda: producer.poll(0.1))
    assert reports[0] is None
    assert reports[1].kind == "MSG_SIZE_TOO_LARGE"
    producer.close()
