"""This project's worker on the same tasks, with all that it does for them."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from bench.agents import Document, Summary, noop
from bench.bare import cpu_s
from streams import Context, Worker, agent


async def run(bootstrap: str, prefix: str, tasks: int) -> float:
    """Serve until ``tasks`` are done (0: until the process is ended); CPU seconds they took."""
    left, cpu_before = tasks, 0.0
    last = asyncio.Event()

    @agent(name=noop.name, concurrency=noop.concurrency, timeout=noop.timeout_s)
    async def counted(ctx: Context, document: Document) -> Summary:
        nonlocal left, cpu_before
        cpu_before = cpu_before or cpu_s()
        left -= 1
        if not left:
            last.set()
        return await noop(ctx, document)

    # Leaving the block drains: every result is committed then.
    async with Worker([counted], bootstrap=bootstrap, prefix=prefix):
        await last.wait()
    return cpu_s() - cpu_before


if __name__ == "__main__":
    _, bootstrap, prefix, tasks = sys.argv
    print(json.dumps({"cpu_s": uvloop.run(run(bootstrap, prefix, int(tasks)))}))
