"""The agents of the scenarios: each scenario's workers serve one of the two."""

from __future__ import annotations

import asyncio
import os
from typing import Literal

from pydantic import BaseModel

from streams import Address, Context, Retry, agent

RETRY_DELAY_S = 5.0


class Job(BaseModel):
    """A piece of work of a scenario."""

    number: int
    ms: int = 10
    sends: bool = False
    """Submit a task to the agent ``ghost``."""
    poison: Literal["", "fails", "exits"] = ""


ghost: Address[int, int] = Address("ghost", int, int)
"""An agent without code here, whose topic a scenario deletes."""


@agent(concurrency=50, retry=Retry(attempts=3, delay=RETRY_DELAY_S))
async def steady(ctx: Context, job: Job) -> int:
    """Does its job, for 5 micro-units of money."""
    ctx.charge("job", amount_micros=5)
    if job.poison == "fails":
        raise RuntimeError("was told to fail")
    if job.poison == "exits":
        os._exit(77)
    if job.sends:
        await ctx.submit(ghost, job.number)
    await asyncio.sleep(job.ms / 1000)
    return job.number
