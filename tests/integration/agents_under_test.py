"""Agents that behave as badly as the tests of faults need; loaded by path, as users' files are."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from pydantic import BaseModel

from streams import Context, Retry, agent


class Work(BaseModel):
    """A piece of work: how long it takes, and what is wrong with it."""

    number: int
    seconds: float = 0.0
    deadly: str = ""
    """``kill`` takes the worker down by SIGKILL, ``exit`` by ending its process."""
    blocks: bool = False
    """Hold the event loop instead of waiting."""
    pad: int = 0
    """Characters of the output."""


class Done(BaseModel):
    """The answer to a piece of work."""

    number: int
    pid: int
    attempt: int
    pad: str = ""


def note(event: str, number: int) -> None:
    """Append a line to the diary of the test: what ran is not all that was answered."""
    line = f"{event} {os.getpid()} {number} {time.time_ns() // 1000}\n"
    with open(os.environ["WORK_DIARY"], "a") as diary:
        diary.write(line)


@agent(concurrency=20, retry=Retry(attempts=2, delay=0.05))
async def labour(ctx: Context, work: Work) -> Done:
    """Works as long as it is told to, for 7 micro-units of money."""
    ctx.charge("labour", amount_micros=7)
    note("start", work.number)
    if work.deadly == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if work.deadly == "exit":
        os._exit(1)
    if work.blocks:
        time.sleep(work.seconds)  # noqa: ASYNC251 - that is the fault
    else:
        try:
            await asyncio.sleep(work.seconds)
        except asyncio.CancelledError:
            note("cut", work.number)
            raise
    note("end", work.number)
    return Done(number=work.number, pid=os.getpid(), attempt=ctx.attempt, pad="x" * work.pad)
