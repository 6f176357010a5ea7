"""What the simulated workers do: two agents, one of which feeds the other, and their mishaps."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

from streams import Context, PermanentError, Retry, agent
from streams.client import Client
from streams.errors import LogError
from streams.testing.memory import Call, MemoryLog
from streams.topics import Topics
from streams.verify import input_hash

TASKS = 48
KEYS = 9
SUBMITTING_S = 4.0
REFUSED = "refuse me"
POISON = (b"not a record", b"\xc3\x01" + bytes(20))


@agent(concurrency=5, retry=Retry(attempts=2, delay=0.1))
async def second(ctx: Context, text: str) -> str:
    """Fed by ``first``."""
    ctx.charge("look-up", amount_micros=3)
    await asyncio.sleep(0.05)
    return text


@agent(concurrency=6, retry=Retry(attempts=3, delay=0.3), timeout=20)
async def first(ctx: Context, number: int) -> int:
    """Fast and slow, failing now and then, with costs and new tasks."""
    ctx.charge("unit", amount_micros=number)
    await asyncio.sleep(2.5 if number % 17 == 0 else 0.02 * (number % 5))
    if number % 7 == 0 and ctx.attempt == 1:
        raise ValueError("at first")
    if number % 23 == 11:
        raise PermanentError("never")
    if number % 4 == 0:
        await ctx.submit(second, f"child of {number}", key=f"k{number % 3}")
    if number % 19 == 5:
        await ctx.submit(second, REFUSED)
    return number


def refuse(call: Call) -> None:
    """A record that no broker takes: the standing fault of this workload."""
    if (
        call.method == "deliver"
        and not call.applied
        and call.args[0] == "tasks.second"
        and REFUSED.encode() in (call.args[3] or b"")  # type: ignore[operator]
    ):
        raise LogError("INVALID_RECORD", "a fault", abortable=True)


async def submit(client: Client, seed: int) -> dict[str, str]:
    """Submit the tasks over SUBMITTING_S; the independent log of what was accepted."""
    chance = random.Random(f"workload {seed}")
    accepted: dict[str, str] = {}
    for number in range(TASKS):
        key = f"key-{chance.randrange(KEYS)}" if chance.random() < 0.8 else None
        deadline = None
        if chance.random() < 0.05:
            at_s = client._clock.now_micros() / 1e6
            deadline = datetime.fromtimestamp(at_s, UTC) + timedelta(seconds=1 + chance.random())
        handle = await client.submit(
            first, number, key=key, tenant=f"t{number % 3}", deadline=deadline
        )
        accepted[handle.task_id] = input_hash(first.dump_input(number))
        await asyncio.sleep(chance.uniform(0.0, 2 * SUBMITTING_S / TASKS))
    return accepted


def poison(log: MemoryLog, topics: Topics, seed: int) -> int:
    """Put records that are no tasks among them; returns how many."""
    chance = random.Random(f"poison {seed}")
    producer = log.producer()
    records = chance.choices(POISON, k=chance.randrange(3))
    for value in records:
        producer.produce(topics.tasks(first.name), chance.randrange(4), b"raw", value)
    producer.close()
    return len(records)
