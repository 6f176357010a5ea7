"""The client's side: how fast tasks are accepted, and how soon a lone task is answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.agents import TEXT, Document, noop
from streams import Client

TOGETHER = 1_000
WARM_UP = 20
PAUSE_S = 0.02
"""Between two tasks: 50 per second, far below what a worker does."""


async def submit_rate(bootstrap: str, prefix: str, tasks: int) -> list[float]:
    """Tasks per second that the log has accepted, TOGETHER submitted at once."""
    document = Document(title="document", text=TEXT)
    async with Client(bootstrap=bootstrap, prefix=prefix) as client:
        await client.submit(noop, document)
        began = time.perf_counter()
        for _ in range(tasks // TOGETHER):
            await asyncio.gather(*(client.submit(noop, document) for _ in range(TOGETHER)))
        return [tasks // TOGETHER * TOGETHER / (time.perf_counter() - began)]


async def latencies(bootstrap: str, prefix: str, tasks: int) -> list[float]:
    """Milliseconds from the call of submit to the result in hand, of tasks one by one."""
    document = Document(title="document", text=TEXT)
    took: list[float] = []

    async def one(client: Client) -> None:
        began = time.perf_counter()
        handle = await client.submit(noop, document)
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


if __name__ == "__main__":
    _, measure, bootstrap, prefix, tasks = sys.argv
    chosen = {"submit": submit_rate, "latency": latencies}[measure]
    print(json.dumps(uvloop.run(chosen(bootstrap, prefix, int(tasks)))))
