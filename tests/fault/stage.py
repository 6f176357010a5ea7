"""The stage of a scenario: a broker, a small deployment on it, tasks, and what came of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka.admin import AdminClient

from streams.agent import Agent
from streams.avro import decode
from streams.catalog import Catalog, read_all
from streams.client.client import Client
from streams.clock import SystemClock
from streams.core import offsets
from streams.errors import LogError, RecordUndecodable
from streams.kafka.log import KafkaLog
from streams.loader import load
from streams.ports import Committed
from streams.provision import apply, plan
from streams.records import Result
from streams.settings import Settings
from streams.testing import Kafka
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.verify import Violation, check, input_hash

from .workers import Life, Workers

HERE = Path(__file__).parent
AGENTS = HERE / "scenario_agents.py"
GHOSTS = HERE / "ghost_agents.py"
PARTITIONS = 4
PATIENCE_S = 60.0
POLL_S = 0.1


class Stage:
    """A deployment of ``steady`` and ``ghost`` on a broker of its own; a context manager.

    ``properties`` are the broker's, ``client`` those of the clients that set up and look.
    ``expect`` notes what is not as it should be.
    """

    def __init__(
        self,
        scratch: Path,
        properties: Any = None,
        client: Mapping[str, str] | None = None,
        brokers: int = 1,
    ) -> None:
        self.scratch = scratch
        self.topics = Topics("scene")
        self.violations: list[Violation] = []
        self.submitted: dict[str, str] = {}
        self.kafka = Kafka(brokers, properties=properties)
        self._client = dict(client or {})
        self._workers: list[Workers] = []

    def __enter__(self) -> Self:
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.kafka.start()
        self.bootstrap = self.kafka.bootstrap
        self.log = KafkaLog(self.bootstrap, self._client)
        self.admin: Any = AdminClient(
            {"bootstrap.servers": self.bootstrap, "log_level": 0, **self._client}
        )
        agents: list[Agent[Any, Any]] = load([AGENTS, GHOSTS])
        self.steady = next(agent for agent in agents if agent.name == "steady")
        catalog = Catalog(self.log, self.topics, SystemClock(), ThreadRunner())
        todo = plan(self.log, self.topics, catalog, agents, PARTITIONS)
        apply(self.log, self.topics, catalog, agents, todo)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for workers in self._workers:
            workers.close()
        self.kafka.stop()

    def workers(self, agents: Path = AGENTS, **environment: str) -> Workers:
        """A supervisor of workers that serve this file."""
        folder = self.scratch / f"{agents.stem}-{len(self._workers)}"
        folder.mkdir()
        where = {"STREAMS_BOOTSTRAP": self.bootstrap, "STREAMS_PREFIX": self.topics.prefix}
        self._workers.append(Workers(where | environment, folder, agents))
        return self._workers[-1]

    def submit(self, jobs: Sequence[dict[str, Any]], key: str | None = None) -> list[str]:
        """Submit jobs to ``steady``; their ids."""

        async def run() -> list[str]:
            settings = Settings(self.bootstrap, self.topics.prefix, self._client)
            async with Client(settings=settings) as client:

                async def one(job: dict[str, Any]) -> str:
                    value = self.steady.input(**job)
                    handle = await client.submit(self.steady, value, key=key)
                    self.submitted[handle.task_id] = input_hash(self.steady.dump_input(value))
                    return handle.task_id

                return await asyncio.gather(*map(one, jobs))

        return asyncio.run(run())

    def results(self, pool: str = "steady") -> dict[str, Result[bytes]]:
        """The results of a pool by task id."""
        topic = self.topics.results(pool)
        found: dict[str, Result[bytes]] = {}
        for record in read_all(self.log, topic, range(PARTITIONS), SystemClock()):
            try:
                result = decode(record.value() or b"", Result)
            except RecordUndecodable:
                continue
            found[result.task_id] = result
        return found

    def finished(self) -> set[tuple[int, int]]:
        """Partition and offset of each task of ``steady`` that its group says is done.

        What an open transaction is about to commit is waited for.
        """
        topic, partitions = self.topics.tasks("steady"), range(PARTITIONS)
        admin = self.log.admin()
        committed: dict[int, Committed | None] = {}

        def stable() -> bool:
            try:
                committed.update(admin.committed(self.topics.group("steady"), topic, partitions))
            except LogError:
                return False
            return True

        self.until(stable, "no transaction holds an offset")
        done: set[tuple[int, int]] = set()
        for partition, bounds in admin.bounds(topic, partitions).items():
            last = committed.get(partition)
            if last is not None:
                left = offsets.decode(last.offset, last.metadata)
                done |= {(partition, n) for n in range(bounds.end) if left.is_finished(n)}
        return done

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> bool:
        """Wait for a condition; a violation of I13 if it does not come in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.violations.append(Violation("I13", f"not within {seconds:g} s: {what}", ""))
                return False
            time.sleep(POLL_S)
        return True

    def until_answered(self, ids: Iterable[str]) -> bool:
        """Wait until these have results."""
        wanted = set(ids)
        return self.until(lambda: wanted <= self.results().keys(), "every task has a result")

    def expect(self, true: bool, what: str, where: str = "") -> None:
        """Note a violation unless this is so."""
        if not true:
            self.violations.append(Violation("I1", f"expected: {what}", where))

    def says(self, life: Life, *words: str) -> bool:
        """Whether one line of what the process said holds all these words."""
        lines = life.log.read_text().splitlines()
        return any(all(word in line for word in words) for line in lines)

    def check(self, pools: Sequence[str]) -> int:
        """Hold the topics to I1 to I5 and I8; returns how many tasks were checked."""
        report = check(self.log, self.topics, self.submitted, pools=pools)
        self.violations += report.violations
        return report.accepted

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; returns when it is gone."""
        for future in self.admin.delete_topics([topic]).values():
            future.result(10)
        # Not ``self.log.admin()``: for 10 s it waits for a topic that it has made itself.
        self.until(
            lambda: topic not in self.admin.list_topics(timeout=10).topics, f"'{topic}' is gone", 10
        )
