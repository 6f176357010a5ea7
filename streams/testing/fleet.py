"""``Fleet``: agents under test, on the real runtime.

Without Kafka it runs on a log in memory and a virtual clock: retries, timeouts and deadlines
pass without waiting (an hour of them in half a minute), and the same seed gives the same run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from streams.agent import Agent
from streams.catalog import Catalog
from streams.client import Client
from streams.context import Dependency
from streams.ports import Clock, Log, Runner
from streams.provision import apply, plan
from streams.telemetry import tracer
from streams.testing.memory import MemoryLog
from streams.testing.runner import LoopRunner
from streams.testing.time import VirtualTime
from streams.topics import Topics
from streams.worker.host import Host
from streams.worker.shared import Surroundings

if TYPE_CHECKING:
    from streams.testing.kafka import Kafka

PARTITIONS = 4


class Fleet:
    """``async with Fleet(agent, …) as client``: workers that serve the agents, and a client.

    ``replace`` gives handlers fakes for dependencies; ``workers`` is how many share the work;
    with ``kafka`` (a ``testing.Kafka`` or an address) all runs on a real one, in real time,
    under a prefix of its own.
    """

    def __init__(
        self,
        *agents: Agent[Any, Any],
        kafka: Kafka | str | None = None,
        workers: int = 1,
        seed: int = 0,
        replace: Mapping[Dependency[Any], object] | None = None,
    ) -> None:
        self._agents = agents
        self._kafka = kafka
        self._workers = workers
        self._random = random.Random(seed)
        self._replace = replace
        self._stack = AsyncExitStack()
        self.hosts: list[Host] = []
        self.log: Log
        self.clock: Clock
        self.topics: Topics

    async def __aenter__(self) -> Client:
        try:
            return await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> Client:
        self._connect()
        runner = self._runner()
        catalog = Catalog(self.log, self.topics, self.clock, runner)
        todo = plan(self.log, self.topics, self._agents, PARTITIONS)
        await runner.call(lambda: apply(self.log, self.topics, catalog, self._agents, todo))
        for number in range(self._workers):
            slot = f"slot-{number}"
            around = Surroundings(
                self.log,
                self.clock,
                self._runner(),
                self._random.random,
                self.topics,
                slot,
                static=False,
                tracer=tracer(),
            )
            host = Host(self._agents, around, replaced=self._replace)
            await host.start()
            self._stack.push_async_callback(host.stop)
            self.hosts.append(host)
        client = Client.over(self.log, self.clock, self._runner(), self.topics)
        return await self._stack.enter_async_context(client)

    def _connect(self) -> None:
        if self._kafka is None:
            self._time = self._stack.enter_context(VirtualTime())
            self.clock, self.topics = self._time, Topics()
            self.log = MemoryLog(self._time)
            return
        from streams.clock import SystemClock
        from streams.kafka.log import KafkaLog

        bootstrap = self._kafka if isinstance(self._kafka, str) else self._kafka.bootstrap
        self.clock, self.topics = SystemClock(), Topics(f"fleet-{uuid4().hex[:8]}")
        self.log = KafkaLog(bootstrap)

    def _runner(self) -> Runner:
        if self._kafka is None:
            return LoopRunner(self._time)
        from streams.threads import ThreadRunner

        return ThreadRunner()
