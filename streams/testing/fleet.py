"""``Fleet``: agents under test, on the real runtime.

Without Kafka it runs on a log in memory and a virtual clock: retries, timeouts and deadlines
pass without waiting (an hour of them in half a minute), and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from streams.agent import Agent
from streams.catalog import Catalog
from streams.client import Client
from streams.context import Dependency
from streams.errors import UsageError
from streams.ids import repeatable
from streams.ports import Clock, Log, Runner
from streams.provision import apply, plan
from streams.telemetry import tracer
from streams.testing.crew import PACE_S, PARTITIONS, Crew
from streams.testing.faults import Fault
from streams.testing.memory import MemoryLog
from streams.testing.time import VirtualTime
from streams.topics import Topics
from streams.worker.host import Host
from streams.worker.shared import Surroundings

if TYPE_CHECKING:
    from streams.testing.kafka import Kafka

IDLE_S = 0.05
CALM_S = 300.0
STORM_PACE_S = 0.04
"""Under faults it is the order of steps that matters: fewer of them make a run cheaper."""


class Fleet:
    """``async with Fleet(agent, …) as client``: workers that serve the agents, and a client.

    ``replace`` gives handlers fakes for dependencies; ``workers`` is how many share the work;
    ``faults`` (from ``streams.testing.faults``) strike them, and whoever dies of one is started
    again. The order in which all parts make their steps is drawn from ``seed``. With ``kafka``
    (a ``testing.Kafka`` or an address) all runs on a real one, in real time, under a prefix of its
    own.
    """

    def __init__(
        self,
        *agents: Agent[Any, Any],
        kafka: Kafka | str | None = None,
        workers: int = 1,
        seed: int = 0,
        replace: Mapping[Dependency[Any], object] | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        if faults and kafka is not None:
            raise UsageError(
                "faults strike a Kafka in memory only",
                hint="on a real one kill and pause brokers with testing.Kafka, or its workers",
            )
        self._faults = faults
        self._agents = agents
        self._kafka = kafka
        self._workers = workers
        self._chance = random.Random(seed)
        self._replace = replace
        self._stack = AsyncExitStack()
        self.hosts: list[Host] = []
        """The workers that it began with."""
        self.crew: Crew
        """All workers, on a log in memory."""
        self._struck: asyncio.Future[list[None]] | None = None
        self.log: Log
        self.clock: Clock
        self.topics: Topics

    async def __aenter__(self) -> Client:
        try:
            return await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def calm(self) -> None:
        """Wait until every fault has struck and healed; raises what went wrong with one.

        UsageError if one has not struck CALM_S later: a ``crash_after`` of a handler that never
        runs, or not as often.
        """
        if self._struck is None:
            return
        try:
            await asyncio.wait_for(asyncio.shield(self._struck), CALM_S)
        except TimeoutError:
            raise UsageError(
                f"a fault has not struck after {CALM_S:g} s",
                hint="does the handler that it waits for run as often as it says?",
            ) from None

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> Client:
        self._connect()
        runner = self._runner()
        catalog = Catalog(self.log, self.topics, self.clock, runner)
        todo = plan(self.log, self.topics, catalog, self._agents, PARTITIONS)
        await runner.call(lambda: apply(self.log, self.topics, catalog, self._agents, todo))
        for number in range(self._workers):
            self.hosts.append(await self._start_worker(f"slot-{number}"))
        client = Client.over(self.log, self.clock, self._runner(), self.topics)
        await self._stack.enter_async_context(client)
        if self._faults:
            strikes = [self.crew.spawn(fault.strike(self.crew)) for fault in self._faults]
            self._struck = asyncio.gather(*strikes)
        return client

    async def _start_worker(self, slot: str) -> Host:
        if self._kafka is None:
            return (await self.crew.start(slot)).host
        around = Surroundings(
            self.log,
            self.clock,
            self._runner(),
            self._chance.random,
            self.topics,
            slot,
            static=False,
            tracer=tracer(),
        )
        host = Host(self._agents, around, replaced=self._replace)
        await host.start()
        self._stack.push_async_callback(host.stop)
        return host

    def _connect(self) -> None:
        if self._kafka is None:
            self._time = self._stack.enter_context(VirtualTime())
            self.clock, self.topics = self._time, Topics()
            self._stack.enter_context(repeatable(self._chance.randbytes))
            self.log = MemoryLog(self._time, idle_s=IDLE_S if self._faults else 0.0)
            self.crew = Crew(
                self._agents,
                self.log,
                self._time,
                self.topics,
                self._chance,
                self._replace,
                supervised=bool(self._faults),
                pace_s=STORM_PACE_S if self._faults else PACE_S,
            )
            self._stack.push_async_callback(self.crew.close)
            return
        from streams.clock import SystemClock
        from streams.kafka.log import KafkaLog

        bootstrap = self._kafka if isinstance(self._kafka, str) else self._kafka.bootstrap
        self.clock, self.topics = SystemClock(), Topics(f"fleet-{uuid4().hex[:8]}")
        self.log = KafkaLog(bootstrap)

    def _runner(self) -> Runner:
        if self._kafka is None:
            return self.crew.runner()
        from streams.threads import ThreadRunner

        return ThreadRunner()
