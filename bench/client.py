"""The client's side: how fast tasks are accepted, and how soon one of them is answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.agents import NAME, noop
from bench.load import encoded, producer
from bench.payload import document
from streams import Client
from streams.topics import Topics

TOGETHER = 1_000
WARM_UP = 20
PAUSE_S = 0.02
"""Between two tasks that are measured: 50 per second, far below what a worker does."""
TICK_S = 0.01


async def submit_rate(bootstrap: str, prefix: str, tasks: int) -> list[float]:
    """Tasks per second that the log has accepted, TOGETHER submitted at once."""
    async with Client(bootstrap=bootstrap, prefix=prefix) as client:
        await client.submit(noop, document(0))
        began = time.perf_counter()
        for _ in range(tasks // TOGETHER):
            await asyncio.gather(*(client.submit(noop, document(n)) for n in range(TOGETHER)))
        return [tasks // TOGETHER * TOGETHER / (time.perf_counter() - began)]


async def latencies(bootstrap: str, prefix: str, tasks: int) -> list[float]:
    """Milliseconds from the call of submit to the result in hand, of tasks one by one."""
    took: list[float] = []

    async def one(client: Client) -> None:
        began = time.perf_counter()
        handle = await client.submit(noop, document(0))
        await handle.result(timeout=60)
        took.append((time.perf_counter() - began) * 1_000)

    async with Client(bootstrap=bootstrap, prefix=prefix) as client:
        for _ in range(WARM_UP):
            await one(client)
        took.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(one(client))
                await asyncio.sleep(PAUSE_S)
    return took


async def background(
    bootstrap: str, prefix: str, per_second: int, seconds: int, partitions: int
) -> list[float]:
    """Write tasks at a steady rate, whether or not the worker keeps up; the rate that came of it.

    They are encoded beforehand: the load should cost the machine little but what it causes.
    """
    client, topic = producer(bootstrap), Topics(prefix).tasks(NAME)
    tasks = list(encoded(per_second * seconds))
    began, sent = time.perf_counter(), 0
    while sent < len(tasks):
        due = min(len(tasks), int((time.perf_counter() - began) * per_second) + 1)
        for number in range(sent, due):
            key, value = tasks[number]
            client.produce(topic, value, key, number % partitions)
        sent = due
        client.poll(0)
        await asyncio.sleep(TICK_S)
    client.flush(30)
    return [sent / (time.perf_counter() - began)]


if __name__ == "__main__":
    _, measure, bootstrap, prefix, *rest = sys.argv
    chosen = {"submit": submit_rate, "latency": latencies, "background": background}[measure]
    print(json.dumps(uvloop.run(chosen(bootstrap, prefix, *map(int, rest)))))
