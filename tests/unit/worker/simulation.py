"""What the tests of the runtime share: a Fleet in virtual time with hands on its log."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from streams import Context, Retry, agent
from streams.agent import Agent
from streams.avro import decode
from streams.catalog import read_all
from streams.errors import LogError
from streams.records import Cost, DeadLetter, Result, Task
from streams.testing import Fleet
from streams.testing.crew import Member
from streams.testing.memory import Call
from streams.verify import check, input_hash
from streams.worker.host import Host

T = TypeVar("T")
TASKS = 120


def simulate(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario on a loop of its own; virtual time makes hours pass at once."""
    return asyncio.run(scenario())


class Simulation(Fleet):
    """A Fleet with what tests need: records as they are in the log, and violence."""

    def read(self, topic: str) -> list[Any]:
        """All committed records of a topic, partition by partition."""
        found = self.log.admin().topics([topic])
        return list(read_all(self.log, topic, range(found[topic].partitions), self.clock))

    def tasks(self, agent: Agent[Any, Any]) -> list[Task]:
        return [decode(r.value(), Task) for r in self.read(self.topics.tasks(agent.name))]

    def results(self, agent: Agent[Any, Any]) -> list[Result[bytes]]:
        return [decode(r.value(), Result) for r in self.read(self.topics.results(agent.name))]

    def dead(self, agent: Agent[Any, Any]) -> list[DeadLetter]:
        return [decode(r.value(), DeadLetter) for r in self.read(self.topics.dead(agent.name))]

    def costs(self) -> list[Cost]:
        return [decode(r.value(), Cost) for r in self.read(self.topics.costs)]

    def write(self, agent: Agent[Any, Any], partition: int, key: bytes, value: bytes) -> None:
        """Put a record of our own making on the agent's task topic."""
        producer = self.log.producer()
        producer.produce(self.topics.tasks(agent.name), partition, key, value, [("by", b"hand")])
        producer.close()

    def verify(self, agents: Sequence[Agent[Any, Any]] | None = None) -> None:
        """I1–I5 and I8 hold on the topics as they are now."""
        pools = [agent.name for agent in agents or self._agents]
        outside = {
            task.task_id: input_hash(task.input)
            for agent in agents or self._agents
            for task in self.tasks(agent)
            if task.parent_task_id is None and task.redrive_of is None
        }
        report = check(self.log, self.topics, outside, pools=pools)
        assert report.ok, report.text()

    def member(self, host: Host) -> Member:
        return next(member for member in self.crew.members if member.host is host)

    def kill(self, host: Host) -> None:
        self.crew.kill(self.member(host))

    def freeze(self, host: Host) -> None:
        self.crew.freeze(self.member(host))

    def thaw(self, host: Host) -> None:
        self.crew.thaw(self.member(host))

    async def join(self, slot: str, *, static: bool = False) -> Host:
        """One more worker."""
        self.crew.agents = self._agents
        host = (await self.crew.start(slot, static=static)).host
        self.hosts.append(host)
        return host

    def owned(self, host: Host) -> list[int]:
        return sorted(host.pools[0].shared.ledger.possessions)


class Fails:
    """A fault: the next ``times`` calls of a method fail, before or after they took effect."""

    def __init__(
        self,
        method: str,
        error: LogError,
        *,
        times: int = 1,
        applied: bool = False,
        client: str = "pool.",
        when: Callable[[Call], bool] = lambda call: True,
    ) -> None:
        self.method, self.error, self.left, self.applied = method, error, times, applied
        self.client, self.when = client, when
        self.hits = 0

    def __call__(self, call: Call) -> None:
        if (
            self.left > 0
            and (call.method, call.applied) == (self.method, self.applied)
            and call.client.startswith(self.client)
            and self.when(call)
        ):
            self.left -= 1
            self.hits += 1
            raise self.error


async def until(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Let virtual time pass until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def stubborn_until(condition: Callable[[], bool]) -> None:
    """What a handler does that ignores being cut off."""
    while not condition():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


def make(fleet_args: dict | None = None):
    """An agent of mixed speed, what it started, and its fleet."""
    starts: Counter[int] = Counter()

    @agent(concurrency=20, retry=Retry(attempts=5, delay=0.2))
    async def work(ctx: Context, number: int) -> int:
        starts[number] += 1
        ctx.charge("unit", amount_micros=1)
        await asyncio.sleep(1.5 if number % 11 == 0 else 0.1)
        if number % 13 == 0 and ctx.attempt == 1:
            raise ValueError
        return number

    return work, starts, Simulation(work, **(fleet_args or {}))


async def submitted(fleet: Simulation, client, work, count: int = TASKS):
    return [await client.submit(work, n, key=f"key-{n % 17}") for n in range(count)]
