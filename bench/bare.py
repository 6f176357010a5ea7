"""The bare loop: what any exactly-once worker in Python must do for a task, and nothing more.

Consume, decode, one asyncio task with a time-out, encode a result and a cost, produce both,
commit with the offsets in a transaction every COMMIT_S. No validation, order, retries,
completion map, ownership or metrics. It shows what Kafka, the client and Avro cost here.

With ``at-least-once`` the same loop has no transaction: it waits until the results are
acknowledged and commits the offsets then. The difference is what exactly-once costs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Any

import uvloop
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from bench.payload import NAME
from bench.processes import cpu_s
from streams.resources import data_folder
from streams.topics import Topics

COMMIT_S = 0.03
BATCH_MAX = 500
AHEAD_MAX = 4_000
PREFIX_BYTES = 10
EXACTLY_ONCE = "exactly-once"
Finished = tuple[Message, bytes, bytes]


def schema(name: str) -> Any:
    return parse_schema(json.loads((data_folder("schemas") / f"{name}.avsc").read_text()))


def encoder(name: str) -> Callable[[dict[str, Any]], bytes]:
    """Encodes with a prefix of the usual length."""
    parsed = schema(name)

    def encode(record: dict[str, Any]) -> bytes:
        out = BytesIO()
        out.write(bytes(PREFIX_BYTES))
        schemaless_writer(out, parsed, record)
        return out.getvalue()

    return encode


class Bare:
    """One process with three parties: a thread that polls, the event loop, one that commits."""

    def __init__(self, bootstrap: str, prefix: str, tasks: int, exactly_once: bool) -> None:
        topics = Topics(prefix)
        self._tasks_topic, self._results, self._costs = (
            topics.tasks(NAME),
            topics.results(NAME),
            topics.costs,
        )
        self._exactly_once = exactly_once
        self._left = tasks
        self._finished: list[Finished] = []
        self._ahead = 0
        self._over = threading.Event()
        self._written: deque[dict[int, int]] = deque()
        self._task, self._result, self._cost = schema("Task"), encoder("Result"), encoder("Cost")
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{prefix}-bare",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 5,
            }
        )
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                **({"transactional.id": f"{prefix}-bare"} if exactly_once else {}),
                "compression.type": "lz4",
                "linger.ms": 1,
                "retry.backoff.ms": 5,
                "retry.backoff.max.ms": 50,
                "delivery.report.only.error": True,
            }
        )
        self._membership: object = None
        self.cpu_before = 0.0

    async def run(self) -> None:
        """Work until every task has its committed result."""
        self._loop = asyncio.get_running_loop()
        if self._exactly_once:
            await asyncio.to_thread(self._producer.init_transactions, 30)
        self._consumer.subscribe([self._tasks_topic])
        await asyncio.gather(asyncio.to_thread(self._poll), asyncio.to_thread(self._commit))
        self._consumer.close()

    def _poll(self) -> None:
        while not self._over.is_set():
            if self._ahead > AHEAD_MAX:
                self._over.wait(0.001)
                continue
            batch = self._consumer.consume(BATCH_MAX, 0.02)
            # Here, because a call from another thread would wait behind the next consume.
            self._membership = self._consumer.consumer_group_metadata()
            self._commit_written(asynchronous=True)
            if batch:
                if not self.cpu_before:
                    self.cpu_before = cpu_s()
                self._ahead += len(batch)
                self._loop.call_soon_threadsafe(self._start, batch)
        self._commit_written(asynchronous=False)

    def _commit_written(self, *, asynchronous: bool) -> None:
        """At least once: commit the offsets whose results are acknowledged."""
        written: dict[int, int] = {}
        while self._written:
            written |= self._written.popleft()
        if written:
            self._consumer.commit(offsets=self._positions(written), asynchronous=asynchronous)

    def _start(self, batch: list[Message]) -> None:
        self._running = [self._loop.create_task(self._handle(message)) for message in batch]

    async def _handle(self, message: Message) -> None:
        task: Any = schemaless_reader(
            BytesIO((message.value() or b"")[PREFIX_BYTES:]), self._task, None
        )
        async with asyncio.timeout(30):
            output = await noop(task["input"])
        now = time.time_ns() // 1_000
        common = {key: task[key] for key in ("task_id", "run_id", "agent")}
        common |= {"worker_id": "bare", "attempt": 1}
        result = self._result(
            {
                **common,
                "agent_version": "1",
                "status": "succeeded",
                "submitted_at": now,
                "started_at": now,
                "finished_at": now,
                "source_topic": message.topic(),
                "source_partition": message.partition(),
                "source_offset": message.offset(),
                "output": output,
                "cost_micros": len(output),
            }
        )
        cost = self._cost(
            {
                **common,
                "cost_id": task["task_id"],
                "kind": "tool",
                "resource": "characters",
                "units": 1,
                "amount_micros": len(output),
                "at": now,
            }
        )
        self._finished.append((message, result, cost))

    def _commit(self) -> None:
        while self._left:
            began = time.monotonic()
            finished, self._finished = self._finished, []
            if finished:
                self._write(finished)
            self._over.wait(max(0.0, COMMIT_S - (time.monotonic() - began)))
        self._over.set()

    def _write(self, finished: list[Finished]) -> None:
        producer = self._producer
        if self._exactly_once:
            producer.begin_transaction()
        offsets = self._produce(finished)
        if self._exactly_once:
            producer.send_offsets_to_transaction(self._positions(offsets), self._membership, 10)
            producer.commit_transaction(10)
        else:
            assert producer.flush(10) == 0
            self._written.append(offsets)
        self._left -= len(finished)
        self._ahead -= len(finished)

    def _produce(self, finished: list[Finished]) -> dict[int, int]:
        """Produce results and costs; the offsets to go on from."""
        producer, offsets = self._producer, dict[int, int]()
        for message, result, cost in finished:
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            producer.produce(self._results, result, message.key(), partition)
            producer.produce(self._costs, cost, b"bare", 0)
            # Tasks of one partition end in order here: none of them waits for anything.
            offsets[partition] = offset + 1
        return offsets

    def _positions(self, offsets: dict[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._tasks_topic, p, offset) for p, offset in offsets.items()]


async def noop(body: bytes) -> bytes:
    return body


def main(bootstrap: str, prefix: str, tasks: str, promise: str = EXACTLY_ONCE) -> None:
    async def run() -> float:
        bare = Bare(bootstrap, prefix, int(tasks), promise == EXACTLY_ONCE)
        await bare.run()
        return cpu_s() - bare.cpu_before

    print(json.dumps({"cpu_s": uvloop.run(run())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
