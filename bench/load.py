"""Topics, tasks that wait in them, and when their results came."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Producer

from bench.agents import NAME, noop
from bench.payload import document
from streams.avro import encode
from streams.catalog import Catalog, read_all
from streams.clock import SystemClock
from streams.ids import task_id
from streams.kafka.log import KafkaLog
from streams.provision import apply, plan
from streams.records import Task
from streams.threads import ThreadRunner
from streams.topics import Topics

HOUR_MICROS = 3_600_000_000
FLUSH_EACH = 10_000
FLUSH_S = 60


def make_topics(bootstrap: str, prefix: str, partitions: int) -> Topics:
    """The topics of the agent under a prefix of their own."""
    log, topics, clock = KafkaLog(bootstrap), Topics(prefix), SystemClock()
    catalog = Catalog(log, topics, clock, ThreadRunner())
    apply(log, topics, catalog, [noop], plan(log, topics, catalog, [noop], partitions))
    return topics


def encoded(tasks: int) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of that many tasks."""
    now = SystemClock().now_micros()
    for number in range(tasks):
        name = task_id(now)
        body = document(number).model_dump_json().encode()
        yield name.encode(), encode(Task(name, name, NAME, now, now + HOUR_MICROS, body))


def producer(bootstrap: str) -> Producer:
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20})


def preload(bootstrap: str, topics: Topics, tasks: int, partitions: int) -> None:
    """Write the tasks, evenly over the partitions."""
    client = producer(bootstrap)
    for number, (key, value) in enumerate(encoded(tasks)):
        client.produce(topics.tasks(NAME), value, key, number % partitions)
        if number % FLUSH_EACH == 0:
            client.flush(FLUSH_S)
    left = client.flush(FLUSH_S)
    assert left == 0, f"{left} tasks were not delivered"


def result_times(bootstrap: str, topics: Topics, partitions: int) -> list[float]:
    """When each committed result was appended, by the broker's clock, in ms; sorted."""
    records = read_all(KafkaLog(bootstrap), topics.results(NAME), range(partitions), SystemClock())
    return sorted(float(record.timestamp()[1]) for record in records)
