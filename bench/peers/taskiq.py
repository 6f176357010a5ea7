"""Taskiq on a Redis stream, at least once: acknowledged after the result is saved.

One worker process with uvloop and 1,000 tasks at once. The list broker, which is faster to
set up, pops tasks before they run, so a crash loses them: another class, and left out.
"""

from __future__ import annotations

import asyncio
import os
import sys

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.payload import NAME, Document, Summary, document, summarise

TOGETHER = 500

url = os.environ["BENCH_URL"]
broker = RedisStreamBroker(f"{url}/0", consumer_id="0", xread_count=500).with_result_backend(
    RedisAsyncResultBackend(f"{url}/1")
)


@broker.task(task_name=NAME)
async def noop(given: Document) -> Summary:
    """Validated in and out."""
    return summarise(given)


async def submit(tasks: int) -> None:
    """Submit, TOGETHER at once."""
    await broker.startup()
    for first in range(0, tasks, TOGETHER):
        numbers = range(first, min(first + TOGETHER, tasks))
        await asyncio.gather(*(noop.kiq(document(number)) for number in numbers))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(submit(int(sys.argv[1])))
