"""Topics, tasks that wait in them, and how fast their results came."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import Producer

from bench.agents import NAME, TEXT, Document, noop
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


@dataclass(frozen=True, slots=True)
class Rate:
    """Results of one run: how many, and the seconds from the first to the last."""

    results: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.results / self.seconds if self.seconds else float("inf")


def make_topics(bootstrap: str, prefix: str, partitions: int) -> Topics:
    """The topics of the agent under a prefix of their own."""
    log, topics, clock = KafkaLog(bootstrap), Topics(prefix), SystemClock()
    catalog = Catalog(log, topics, clock, ThreadRunner())
    apply(log, topics, catalog, [noop], plan(log, topics, catalog, [noop], partitions))
    return topics


def preload(bootstrap: str, topics: Topics, tasks: int, partitions: int) -> None:
    """Write the tasks, evenly over the partitions."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20}
    )
    now = SystemClock().now_micros()
    for number in range(tasks):
        name = task_id(now)
        body = Document(title=f"document {number}", text=TEXT).model_dump_json().encode()
        task = Task(name, name, NAME, now, now + HOUR_MICROS, body)
        producer.produce(topics.tasks(NAME), encode(task), name.encode(), number % partitions)
        if number % FLUSH_EACH == 0:
            producer.flush()
    left = producer.flush(60)
    assert left == 0, f"{left} tasks were not delivered"


def measured(bootstrap: str, topics: Topics, partitions: int) -> Rate:
    """The committed results, by the broker's append time."""
    records = read_all(KafkaLog(bootstrap), topics.results(NAME), range(partitions), SystemClock())
    times = [record.timestamp()[1] for record in records]
    return Rate(len(times), (max(times) - min(times)) / 1_000 if times else 0.0)
