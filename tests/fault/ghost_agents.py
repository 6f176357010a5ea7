"""The agent to whose topic the scenarios' parents submit."""

from __future__ import annotations

from streams import Context, agent


@agent
async def ghost(ctx: Context, number: int) -> int:
    """Answers what it is given."""
    return number
