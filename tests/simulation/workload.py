"""What the simulated workers do: two agents, one of which feeds the other, and their mishaps."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from streams import Context, PermanentError, Retry, agent
from streams.client import Client
from streams.errors import LogError
from streams.records import Status
from streams.testing.crew import Crew, Member
from streams.testing.memory import Call, MemoryLog
from streams.topics import Topics
from streams.verify import input_hash

from .outcomes import Due

log = logging.getLogger("simulation")

TASKS = 48
KEYS = 9
SUBMITTING_S = 4.0
SECOND_MICROS = 3
"""What a task of ``second`` charges."""
REFUSED = "refuse me"
KILLERS_EVERY, KILLERS_FIRST = 16, 5
"""In one of so many seeds a task kills its worker, for the first time in this one."""
BACK_S = 1.0
"""How long after such a death a new worker is started."""
POISON = (b"not a record", b"\xc3\x01" + bytes(20))


@agent(concurrency=5, retry=Retry(attempts=2, delay=0.1))
async def second(ctx: Context, text: str) -> str:
    """Fed by ``first``."""
    ctx.charge("look-up", amount_micros=SECOND_MICROS)
    await asyncio.sleep(0.05)
    return text


@agent(concurrency=6, retry=Retry(attempts=3, delay=0.3), timeout=20)
async def first(ctx: Context, number: int) -> int:
    """Fast and slow, failing now and then, with costs and new tasks."""
    ctx.charge("unit", amount_micros=number)
    await asyncio.sleep(2.5 if number % 17 == 0 else 0.02 * (number % 5))
    if number % 4 == 0 or number % 23 == 11:
        await ctx.submit(second, _child(number), key=f"k{number % 3}")
    if number % 7 == 0 and ctx.attempt == 1:
        raise ValueError("at first")
    if number % 23 == 11:
        raise PermanentError("never")
    if number % 19 == 5:
        await ctx.submit(second, REFUSED)
    return number


def _child(number: int) -> str:
    return f"child of {number}"


def due(number: int, deadline: int | None, *, kills: bool) -> Due:
    """What ``first`` must make of its input, and ``second`` of what that causes."""
    child = None
    status: Status = "succeeded"
    reason = ""
    if number % 23 == 11:
        status, reason = "failed", "permanent_error"
    elif number % 19 == 5:
        status, reason = "failed", "record_refused"
    elif number % 4 == 0:
        text = _child(number)
        digest = input_hash(second.dump_input(text))
        child = Due(text, digest, second.policy.retry.attempts, SECOND_MICROS)
    return Due(
        f"task {number}",
        input_hash(first.dump_input(number)),
        first.policy.retry.attempts,
        number,
        attempts=2 if number % 7 == 0 else 1,
        status=status,
        reason=reason,
        deadline=deadline,
        child=child,
        kills=kills,
    )


def refuse(call: Call) -> None:
    """A record that no broker takes: the standing fault of this workload."""
    if (
        call.method == "deliver"
        and not call.applied
        and call.args[0] == "tasks.second"
        and REFUSED.encode() in (call.args[3] or b"")  # type: ignore[operator]
    ):
        raise LogError("INVALID_RECORD", "a fault", abortable=True)


async def submit(client: Client, seed: int, killer: Killer | None) -> dict[str, Due]:
    """Submit the tasks over SUBMITTING_S; the independent log of what was accepted."""
    chance = random.Random(f"workload {seed}")
    accepted: dict[str, Due] = {}
    for number in range(TASKS):
        key = f"key-{chance.randrange(KEYS)}" if chance.random() < 0.8 else None
        deadline = None
        if chance.random() < 0.05:
            at_s = client._clock.now_micros() / 1e6
            deadline = datetime.fromtimestamp(at_s, UTC) + timedelta(seconds=1 + chance.random())
        handle = await client.submit(
            first, number, key=key, tenant=f"t{number % 3}", deadline=deadline
        )
        until = None if deadline is None else round(deadline.timestamp() * 1e6)
        kills = killer is not None and killer.number == number
        accepted[handle.task_id] = due(number, until, kills=kills)
        await asyncio.sleep(chance.uniform(0.0, 2 * SUBMITTING_S / TASKS))
    return accepted


def poison(source: MemoryLog, topics: Topics, seed: int) -> int:
    """Put records that are no tasks among them; returns how many."""
    chance = random.Random(f"poison {seed}")
    producer = source.producer()
    records = chance.choices(POISON, k=chance.randrange(3))
    for value in records:
        producer.produce(topics.tasks(first.name), chance.randrange(4), b"raw", value)
    producer.close()
    return len(records)


class Killer:
    """Each attempt of one task ends its worker, and a new one is started in its slot: a fault."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"killer {seed}")
        self.number = self._chance.randrange(TASKS)
        """The input of that task."""
        self._input = first.dump_input(self.number)
        self.deaths = 0
        self.last_at = 0.0
        """When it killed last, on the crew's clock."""
        self.tell: Callable[[str], None] = lambda process: None
        """Called with each process that it kills."""

    async def strike(self, crew: Crew) -> None:
        """Only lie in wait, for as long as the crew works."""

        async def passing(member: Member, agent: str, when: str) -> None:
            if (agent, when) != (first.name, "before") or member.state == "gone":
                return
            if Context.current().task.input != self._input:
                return
            self.deaths += 1
            self.last_at = crew.time.monotonic()
            log.info("task %d kills %s", self.number, member.process)
            self.tell(member.process)
            crew.kill(member)
            crew.spawn(self._bring_back(crew, member.slot))
            await asyncio.sleep(0)  # its handlers are cut off, this one here

        crew.passing.append(passing)

    async def _bring_back(self, crew: Crew, slot: str) -> None:
        await asyncio.sleep(BACK_S)
        if all(member.slot != slot for member in crew.present):
            await crew.start_again(slot, static=self._chance.random() < 0.5)


def killer_of(seed: int) -> Killer | None:
    """The task of this seed that kills its worker, if there is one."""
    return Killer(seed) if seed % KILLERS_EVERY == KILLERS_FIRST else None
