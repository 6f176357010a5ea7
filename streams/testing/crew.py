"""The workers of a fleet, and all that can happen to them on a log in memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Literal

from streams.agent import Agent
from streams.context import Context, Dependency
from streams.errors import LogError, SlotInUse, StreamsError
from streams.ports import Clock
from streams.telemetry import tracer
from streams.testing.memory import MemoryLog
from streams.testing.runner import LoopRunner
from streams.topics import Topics
from streams.worker.host import Host
from streams.worker.shared import Surroundings

PARTITIONS = 4
"""Of each agent of a fleet."""
PACE_S = 0.02
"""The longest time between two steps of a simulated thread."""
BACK_S = 0.5
"""Between two tries to start a worker again."""
TRIES_MAX = 200


class WorkerClock:
    """The clock of one simulated machine: its wall clock may be ahead of the others'."""

    def __init__(self, time: Clock) -> None:
        self._time = time
        self.ahead_s = 0.0

    def now_micros(self) -> int:
        return self._time.now_micros() + round(self.ahead_s * 1e6)

    def monotonic(self) -> float:
        return self._time.monotonic()

    def boottime(self) -> float:
        return self._time.boottime()


@dataclass(slots=True, eq=False)
class Member:
    """One life of a worker in its slot."""

    slot: str
    process: str
    host: Host
    runner: LoopRunner
    log: MemoryLog
    clock: WorkerClock
    static: bool
    state: Literal["up", "frozen", "leaving", "gone"] = "up"
    watching: asyncio.Task[None] | None = None

    @property
    def transactional_ids(self) -> list[str]:
        return [pool.identity.transactional_id for pool in self.host.pools]


Passing = Callable[[Member, str, str], Awaitable[None]]
"""Told of each handler (worker, agent) ``before`` it begins and ``after`` it has its output."""


@dataclass(slots=True)
class Crew:
    """Starts workers that share the work, and kills, freezes, cuts off and restarts them."""

    agents: Sequence[Agent[Any, Any]]
    log: MemoryLog
    time: Any
    topics: Topics
    chance: random.Random
    """Jitter of retries and the pace of every stepper come from here."""
    replaced: Mapping[Dependency[Any], object] | None = None
    supervised: bool = False
    """Workers that cannot go on are started again, except for SlotInUse."""
    pace_s: float = PACE_S
    passing: list[Passing] = field(default_factory=list[Passing])
    members: list[Member] = field(default_factory=list[Member])
    failures: list[tuple[str, StreamsError]] = field(default_factory=list[tuple[str, StreamsError]])
    """What ended supervised workers by themselves: (slot, why)."""
    _lives: int = 0
    _extra: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def runner(self) -> LoopRunner:
        """A simulated process; its steppers go at a pace drawn from the seed."""
        return LoopRunner(self.time, lambda: self.chance.uniform(0.0, self.pace_s))

    async def start(self, slot: str, *, static: bool = False) -> Member:
        """A worker in this slot; raises as ``Host.start``."""
        self._lives += 1
        process = f"{slot}/{self._lives}"
        clock, runner, log = WorkerClock(self.time), self.runner(), self.log.process(process)
        around = Surroundings(
            log, clock, runner, self.chance.random, self.topics, slot, static, tracer()
        )
        there = list[Member]()
        agents = [self._observed(agent, there) for agent in self.agents]
        host = Host(agents, around, replaced=self.replaced)
        member = Member(slot, process, host, runner, log, clock, static)
        there.append(member)
        self.members.append(member)
        try:
            await host.start()
        except BaseException:
            self.kill(member)
            raise
        if self.supervised:
            member.watching = self.spawn(self._watch(member))
        return member

    async def start_again(self, slot: str, *, static: bool = False) -> None:
        """As :meth:`start`, tried again while the log does not answer."""
        for _ in range(TRIES_MAX):
            try:
                await self.start(slot, static=static)
                return
            except StreamsError:
                await asyncio.sleep(BACK_S)
        raise AssertionError(f"a worker in slot '{slot}' does not start")

    def new_slot(self) -> str:
        """A slot that nobody had."""
        self._extra += 1
        return f"extra-{self._extra}"

    @property
    def present(self) -> list[Member]:
        return [member for member in self.members if member.state != "gone"]

    def pick(self, number: int) -> Member | None:
        """One of those that are up, counted round; None if nobody is."""
        up = [member for member in self.members if member.state == "up"]
        return up[number % len(up)] if up else None

    def kill(self, member: Member) -> None:
        """As SIGKILL: nothing of this worker goes on, and nobody is told."""
        member.state = "gone"
        member.log.kill(member.process)
        member.runner.kill()
        member.host.abandon()
        if member.watching is not None:
            member.watching.cancel()

    def freeze(self, member: Member) -> None:
        """As SIGSTOP, for the worker's threads; what its handlers wait for still comes."""
        member.state = "frozen"
        member.log.freeze(member.process)
        member.runner.freeze()

    def thaw(self, member: Member) -> None:
        """As SIGCONT."""
        if member.state == "frozen":
            member.state = "up"
            member.log.thaw(member.process)
            member.runner.thaw()

    async def leave(self, member: Member, *, keep: bool = False) -> None:
        """As SIGTERM; with ``keep`` the partitions of a static member wait for its slot."""
        if member.state in ("up", "frozen"):
            self.thaw(member)
            member.state = "leaving"
            if member.watching is not None:
                member.watching.cancel()
            # It may be killed while it leaves.
            with contextlib.suppress(LogError):
                await member.host.stop(leave=not keep)
            member.state = "gone"

    async def close(self) -> None:
        """End all workers in order; what still watches or strikes is cancelled."""
        striking = list(self._tasks)
        for task in striking:
            task.cancel()
        await asyncio.gather(*striking, return_exceptions=True)
        for member in self.members:
            if member.state == "leaving":  # whoever let it leave was cancelled just now
                member.state = "up"
            await self.leave(member)

    async def _watch(self, member: Member) -> None:
        """Start a worker again that cannot go on, as a supervisor does."""
        try:
            await member.host.wait(asyncio.Event())
        except StreamsError as error:
            self.failures.append((member.slot, error))
            member.watching = None
            await self.leave(member)
            if not isinstance(error, SlotInUse):
                await self.start_again(member.slot, static=member.static)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Something that goes on beside, until it ends or the crew is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _observed(self, agent: Agent[Any, Any], there: list[Member]) -> Agent[Any, Any]:
        """The agent as it runs in one worker, with those told who wait for it to pass."""
        if not self.supervised:
            return agent

        @wraps(agent.fn)
        async def fn(ctx: Context, value: Any) -> Any:
            for tell in self.passing:
                await tell(there[0], agent.name, "before")
            output = await agent.fn(ctx, value)
            for tell in self.passing:
                await tell(there[0], agent.name, "after")
            return output

        return replace(agent, fn=fn)
