"""The agent that the containers run."""

from __future__ import annotations

from streams import Context, agent


@agent
async def shout(ctx: Context, text: str) -> str:
    return text.upper()
