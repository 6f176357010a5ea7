"""The runtime of one worker over the ports: several pools, their heartbeat, their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from streams.agent import Agent
from streams.catalog import Catalog
from streams.context import Dependency
from streams.core.lanes import Gate
from streams.errors import DefinitionError, StreamsError, TopicMissing
from streams.ports import Running
from streams.worker.balance import Balance
from streams.worker.dependencies import Dependencies
from streams.worker.heartbeat import Heart, LoopWatch
from streams.worker.liveness import Liveness
from streams.worker.pool import Pool
from streams.worker.shared import Surroundings

log = logging.getLogger("streams.worker")

DRAIN_S = 25.0
"""How long running tasks may take to end: below the 30 s that orchestrators allow."""
WATCH_S = 0.2
CUT_OFF_S = 40.0
"""How long a worker that was cancelled goes on to leave, where threads or dependencies hang."""


class Host:
    """Runs agents on a log. ``start``, then ``wait``, then ``stop``; all on one event loop."""

    def __init__(
        self,
        agents: Sequence[Agent[Any, Any]],
        around: Surroundings,
        *,
        replaced: Mapping[Dependency[Any], object] | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        if not agents:
            raise DefinitionError("a worker needs at least one agent")
        names = [agent.name for agent in agents]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError(
                    f"two agents are named '{name}'", hint="give one another name="
                )
        self._agents = agents
        self._around = around
        self._drain_s = drain_s
        self._dependencies = Dependencies(replaced)
        self.catalog = Catalog(around.log, around.topics, around.clock, around.runner)
        self.pools: list[Pool] = []
        self.heart: Heart | None = None
        self._beating: Running | None = None
        self._watch: LoopWatch | None = None
        self._balance: Balance | None = None
        self._balancing: Running | None = None

    async def start(self) -> None:
        """Check topics, publish cards, fence older owners of the slot, join the groups.

        TopicMissing or TopicDrift where topics are not as their cards say.
        """
        around = self._around
        cards = await self.catalog.publish(self._agents)
        costs = await around.runner.call(self._check_topics)
        gate, liveness = Gate(), Liveness(around.slot)
        self.pools = [
            Pool(
                agent,
                cards[agent.name],
                around,
                self.catalog,
                gate,
                costs,
                self._dependencies.use,
                liveness,
            )
            for agent in self._agents
        ]
        for pool in self.pools:
            pool.executor.on_dispatch = self._dispatch
        await asyncio.gather(*(around.runner.call(pool.init) for pool in self.pools))
        self._watch = LoopWatch(around.clock)
        self.heart = Heart(
            around.log,
            around.topics.heartbeats,
            around.slot,
            self.pools,
            around.clock,
            around.runner.signal(),
            self._watch,
        )
        self._beating = around.runner.spawn("heartbeat", self.heart.run())
        self._balance = Balance(
            around.log,
            around.topics.heartbeats,
            around.slot,
            self.pools,
            around.clock,
            around.runner.signal(),
            liveness,
        )
        self._balancing = around.runner.spawn("balance", self._balance.run())
        for pool in self.pools:
            pool.start()
        self.heart.state = "running"

    async def wait(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; raises the failure of the first part that cannot go on."""
        parts = [part for part in (*self.pools, self.heart, self._balance) if part is not None]
        threads = {"heartbeat": self._beating, "balance": self._balancing}
        while not stop.is_set():
            for part in parts:
                if part.failure is not None:
                    raise part.failure
            for name, thread in threads.items():
                if thread is not None and thread.error is not None:
                    why = f"the {name} died: {thread.error!r}"
                    raise StreamsError(why, hint="this is a bug") from thread.error
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), WATCH_S)

    async def stop(self, *, leave: bool = True, drain_s: float | None = None) -> None:
        """Drain, commit, release, leave. What does not end in time is run again by others.

        ``drain_s`` in place of the host's own; a ``stop`` that was cancelled can be made again.
        """
        drain_s = self._drain_s if drain_s is None else drain_s
        if self.heart is not None:
            self.heart.state = "draining"
        if self._balance is not None:
            self._balance.stop()
        drained = await asyncio.gather(*(pool.drain(drain_s) for pool in self.pools))
        if not all(drained):
            log.warning("tasks did not end within %g s; they will run again", drain_s)
        stopped = await asyncio.gather(*(pool.stop(leave=leave) for pool in self.pools))
        if not all(stopped):
            log.warning("a thread did not end in time; the group will take over")
        await self._dependencies.close()
        if self._watch is not None:
            self._watch.stop()
        if self.heart is not None and self._beating is not None:
            self.heart.stop()
            beating = self._beating
            await self._around.runner.call(lambda: beating.join(3.0))

    def abandon(self) -> None:
        """End at once, without a word to the log: what SIGKILL is to a simulated worker."""
        for pool in self.pools:
            pool.executor.abandon()
        if self._watch is not None:
            self._watch.stop()

    def _dispatch(self) -> None:
        for pool in self.pools:
            pool.executor.dispatch()

    def _check_topics(self) -> int:
        for agent in self._agents:
            self.catalog.check_topics(self.catalog.known(agent.name), agent)
        costs = self._around.topics.costs
        found = self._around.log.admin().topics([costs])
        if costs not in found:
            raise TopicMissing(f"topic '{costs}' does not exist")
        return found[costs].partitions


async def run_host(
    host: Host,
    stop: asyncio.Event,
    keep: asyncio.Event,
    started: asyncio.Future[None] | None = None,
) -> None:
    """Start, run until ``stop``, drain; with ``keep`` set the slot's partitions wait for it.

    Cancelled, it cuts off what runs, and leaves in order all the same before it ends.
    """
    try:
        if not await _started(host, stop):
            return
        if started is not None and not started.done():
            started.set_result(None)
        failure: Exception | None = None
        try:
            await host.wait(stop)
        except Exception as error:
            failure = error
        await host.stop(leave=not keep.is_set())
    except asyncio.CancelledError:
        await _to_its_end(host.stop(leave=not keep.is_set(), drain_s=0.0))
        raise
    if failure is not None:
        raise failure


async def _started(host: Host, stop: asyncio.Event) -> bool:
    """Start, unless ``stop`` comes first: then no group was joined that would have to be left."""
    if stop.is_set():
        return False
    starting = asyncio.create_task(host.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            return True
        return False
    finally:
        stopping.cancel()
        starting.cancel()
        await asyncio.wait({starting})


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do this, within ``CUT_OFF_S``, whoever cancels meanwhile: some do again and again (anyio)."""
    working = asyncio.create_task(asyncio.wait_for(work, CUT_OFF_S))
    while not working.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({working})
    try:
        await working
    except TimeoutError:
        log.warning("the worker did not end within %g s; the group will take over", CUT_OFF_S)
