"""The agent that the containers run."""

from __future__ import annotations

import asyncio

from streams import Context, agent


@agent(concurrency=20)
async def shout(ctx: Context, text: str) -> str:
    await asyncio.sleep(0.1)  # long enough for work to be left when a broker is killed
    return text.upper()
