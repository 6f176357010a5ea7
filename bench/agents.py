"""The task that is measured: nothing but what every task pays."""

from __future__ import annotations

import asyncio

from bench.payload import NAME, Document, Summary, summarise
from streams import Agent, Context, agent

CONCURRENCY = 1_000
TIMEOUT_S = 30


def noop_agent(concurrency: int = CONCURRENCY, seconds: float = 0) -> Agent[Document, Summary]:
    """Validated in and out, with one cost; waits ``seconds``, if any."""

    @agent(name=NAME, concurrency=concurrency, timeout=TIMEOUT_S)
    async def noop(ctx: Context, document: Document) -> Summary:
        if seconds:
            await asyncio.sleep(seconds)
        ctx.charge("characters", amount_micros=len(document.text))
        return summarise(document)

    return noop


noop = noop_agent()
