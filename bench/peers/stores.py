"""Where the peers keep their tasks: a Redis of our own, or topics on the same broker."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.payload import document
from bench.peers.kafka import results_topic, tasks_topic
from streams.broker.ports import free_ports, is_open
from streams.kafka.log import KafkaLog

PARTITIONS = 12
START_S = 10.0
POLL_S = 0.02
FLUSH_EACH = 10_000
FLUSH_S = 60
RESULTS_DB = 1
REDIS_MISSING = (
    "left out: Celery, Dramatiq and Taskiq, because there is no redis-server here; "
    "hint: install it with the system's package manager, for example apt-get install redis-server"
)


def redis_server() -> str | None:
    """The system's Redis, None if there is none."""
    return shutil.which("redis-server")


class Redis:
    """Results that a Redis holds; they have a database of their own, one key each."""

    def __init__(self, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=START_S)
        self._lines = self._connection.makefile("rb")
        self._ask(f"SELECT {RESULTS_DB}")

    def results(self) -> int:
        """How many there are, without reading them."""
        return int(self._ask("DBSIZE").removeprefix(":"))

    def close(self) -> None:
        self._lines.close()
        self._connection.close()

    def _ask(self, command: str) -> str:
        self._connection.sendall(f"{command}\r\n".encode())
        return self._lines.readline().decode().strip()


@contextlib.contextmanager
def redis(fsync: str) -> Iterator[Redis]:
    """An empty Redis with its append-only file on; ``fsync`` is when that is forced to disk."""
    program = redis_server()
    assert program is not None
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", fsync, "--loglevel", "warning"]
        server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            _wait_until_open(port, server)
            store = Redis(port)
            try:
                yield store
            finally:
                store.close()
        finally:
            server.kill()
            server.wait()


def _wait_until_open(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while not is_open(port):
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"redis-server did not start (exit code {server.poll()})")
        time.sleep(POLL_S)


class Topics:
    """The topics of a peer on Kafka, made anew, with so many tasks in them."""

    def __init__(self, bootstrap: str, group: str, tasks: int) -> None:
        self.url = bootstrap
        self._tasks, self._results = tasks_topic(group), results_topic(group)
        self._admin = KafkaLog(bootstrap).admin()
        self._client = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(name, PARTITIONS, 1) for name in (self._tasks, self._results)]
        for made in self._client.create_topics(topics).values():
            made.result(START_S)
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
        for number in range(tasks):
            value = document(number).model_dump_json().encode()
            producer.produce(self._tasks, value, str(number).encode(), number % PARTITIONS)
            if number % FLUSH_EACH == 0:
                producer.flush(FLUSH_S)
        left = producer.flush(FLUSH_S)
        assert left == 0, f"{left} tasks were not delivered"

    def results(self) -> int:
        """How many records the results have, without reading them."""
        bounds = self._admin.bounds(self._results, range(PARTITIONS))
        return sum(bound.end for bound in bounds.values())

    def close(self) -> None:
        """Remove them."""
        for gone in self._client.delete_topics([self._tasks, self._results]).values():
            gone.result(START_S)
