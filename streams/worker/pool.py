"""One pool in a worker: its consumer's thread, its committer, its part of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streams.agent import Agent
from streams.catalog import Catalog
from streams.context import Dependency
from streams.core.lanes import Gate
from streams.core.ledger import Ledger, Possession
from streams.errors import StreamsError
from streams.ports import Running
from streams.records import AgentCard, PoolBeat
from streams.submission import topic_card
from streams.worker.commit import Committer
from streams.worker.execute import Executor
from streams.worker.liveness import Liveness
from streams.worker.poll import Poll
from streams.worker.shared import LATENCY_BOUNDS_MICROS, Batch, Identity, Shared, Surroundings
from streams.worker.task_context import TaskContext
from streams.worker.work import Outcomes

HELD_MIN = 20_000
"""Records in memory per pool, at least: what finishes between two commits is among them."""
HELD_PER_SLOT = 4
"""Fetching stops there and goes on at half, where as many must still wait as can run."""
STOP_S = 10.0


class _LoopSide:
    """Hands over from the consumer's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.executor: Executor | None = None

    def deliver(self, batch: Batch) -> None:
        assert self.executor is not None
        self._call(self.executor.deliver, batch)

    def ended(self, possessions: Sequence[Possession]) -> None:
        assert self.executor is not None
        self._call(self.executor.ended, possessions)

    def settled(self) -> None:
        assert self.executor is not None
        self._call(self.executor.settled)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop is closed: the process ends, and with it whatever was to be told.
            if not self._loop.is_closed():
                raise


class Pool:
    """Wires one agent to its topics. Made on the event loop; ``start`` blocks briefly."""

    def __init__(
        self,
        agent: Agent[Any, Any],
        card: AgentCard,
        around: Surroundings,
        catalog: Catalog,
        gate: Gate,
        costs_partitions: int,
        use: Callable[[Dependency[Any]], Awaitable[Any]],
        liveness: Liveness,
    ) -> None:
        topics, clock = around.topics, around.clock
        self.agent = agent
        self._around = around
        self._liveness = liveness
        group = topics.group(agent.name)
        outcomes = Outcomes(
            agent,
            topics,
            around.slot,
            clock,
            costs_partitions=costs_partitions,
            result_bytes_max=topic_card(card, "results").max_message_bytes,
            dead_bytes_max=topic_card(card, "dead").max_message_bytes,
        )
        self.identity = Identity(
            group,
            topics.tasks(agent.name),
            topics.transactional_id(agent.name, around.slot),
            topics.results(agent.name),
            outcomes.own_topics,
        )
        self.shared = Shared(
            Ledger(self.identity.transactional_id),
            around.runner.signal(),
            around.runner.signal(),
        )
        self._loop_side = _LoopSide(asyncio.get_running_loop())
        self._committer = Committer(
            self.identity,
            self.shared,
            around.log,
            clock,
            refuse=lambda outbox, error: outcomes.refused(outbox.work, error),
            on_settled=self._loop_side.settled,
        )
        self.executor = self._loop_side.executor = Executor(
            agent,
            self.shared,
            outcomes,
            gate,
            lambda work: TaskContext(work, catalog, clock, use, around.tracer),
            around,
        )
        self._poll = Poll(
            self.identity,
            self.shared,
            around,
            self._new_consumer,
            self._loop_side,
            learn_schemas=catalog.learn_schemas,
            live=self._live,
            held_max=max(HELD_MIN, HELD_PER_SLOT * agent.policy.concurrency),
        )
        self.partitions = topic_card(card, "tasks").partitions
        """How many partitions its tasks have, by its card."""
        self._polling: Running | None = None
        self._committing: Running | None = None

    def init(self) -> None:
        """Fence older producers of this slot; blocks. Must come before the group is joined."""
        self._committer.init()

    def start(self) -> None:
        """Join the group and begin."""
        name, runner = self.agent.name, self._around.runner
        self._committing = runner.spawn(f"commit-{name}", self._committer.run())
        self._polling = runner.spawn(f"poll-{name}", self._poll.run())

    def foreign(self) -> frozenset[int]:
        """Partitions that others have claimed, and the group has left here (any thread)."""
        shared = self.shared
        with shared.lock:
            found = [p for p, s in shared.ledger.possessions.items() if s.foreign]
        return frozenset(found) - shared.stopped.keys()

    def rejoin(self) -> None:
        """Leave the group and join anew, so that the group is balanced anew (any thread)."""
        self._poll.rejoin()

    async def drain(self, timeout_s: float) -> bool:
        """Fetch and start nothing more, let the running tasks end; False if some did not."""
        self._poll.drain()
        return await self.executor.drain(timeout_s)

    async def stop(self, *, leave: bool) -> bool:
        """Commit what is finished, release all, end both threads; False if one hangs."""
        self._poll.stop(leave=leave)
        polled = await self._join(self._polling)
        self._committer.stop()
        committed = await self._join(self._committing)
        await self.executor.stop()
        return polled and committed

    @property
    def failure(self) -> StreamsError | None:
        return self.shared.failure

    def beat(self, finished_per_second: float) -> PoolBeat:
        """The pool's part of a heartbeat (any thread)."""
        shared, scheduler, stats = self.shared, self.executor.scheduler, self.shared.stats
        with shared.lock:
            partitions = sorted(shared.ledger.possessions)
            held = shared.ledger.held
        return PoolBeat(
            agent=self.agent.name,
            agent_version=self.agent.policy.version,
            group=self.identity.group,
            capacity=scheduler.concurrency,
            in_flight=scheduler.running,
            queued=scheduler.queued,
            incomplete=held,
            partitions=partitions,
            paused=sorted(shared.paused | shared.stopped.keys() | shared.in_restore),
            quarantined=scheduler.quarantined,
            succeeded=stats.succeeded,
            failed=stats.failed,
            expired=stats.expired,
            retried=stats.retried,
            dead=stats.dead,
            finished_per_second=finished_per_second,
            commit_micros_p50=stats.commit_micros_p50,
            commits=stats.commits,
            aborts=stats.aborts,
            latency_bounds_micros=list(LATENCY_BOUNDS_MICROS),
            latency_counts=list(stats.latency_counts),
        )

    @property
    def finished(self) -> int:
        stats = self.shared.stats
        return stats.succeeded + stats.failed + stats.expired

    async def _join(self, running: Running | None) -> bool:
        if running is None:
            return True
        return await self._around.runner.call(lambda: running.join(STOP_S))

    def _live(self) -> frozenset[str] | None:
        """Transactional ids of the live workers; None while that is not known."""
        beats, id_of = self._liveness.beats, self._around.topics.transactional_id
        if beats is None:
            return None
        return frozenset(id_of(self.agent.name, beat.slot) for beat in beats)

    def _new_consumer(self) -> Any:
        around = self._around
        return around.log.group_consumer(
            group=self.identity.group,
            topic=self.identity.topic,
            client_id=self.identity.transactional_id,
            slot=around.slot if around.static else None,
        )
