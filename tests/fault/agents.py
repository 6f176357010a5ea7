"""The agents that the fault lane runs; loaded by path by real worker processes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from typing import Literal

from pydantic import BaseModel

from streams import Context, PermanentError, Retry, agent

EXIT_CODE = 77
LEAK_BYTES = 1_500 * 2**20
"""More than the lane's supervisor allows a worker; where nobody kills it, it stops here."""
LEAK_STEP_BYTES = 32 * 2**20
FOR_EVER = 99
CHARGES = {"labour": 7, "errand": 3}
"""Micro-units of money that an attempt costs."""

Fate = Literal["", "block", "seize", "leak", "exit", "segfault"]


class Work(BaseModel):
    """A piece of work: how long it takes, and what is wrong with it."""

    number: int
    ms: int = 0
    fails: int = 0
    """Attempts that fail before one succeeds; FOR_EVER is all of them."""
    gives_up: bool = False
    """Fails for good at once."""
    children: int = 0
    fate: Fate = ""


class Errand(BaseModel):
    """What a piece of work sends out."""

    number: int
    ms: int = 0


async def meet(fate: Fate, ms: int) -> None:
    """Do to this process what the task is about."""
    if fate == "block":
        time.sleep(ms / 1000)  # noqa: ASYNC251 - that is the fault
    elif fate == "seize":
        # Called through PyDLL it keeps the interpreter's lock: every thread stands still.
        ctypes.PyDLL(None).usleep(ms * 1000)
    elif fate == "exit":
        os._exit(EXIT_CODE)
    elif fate == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)
    elif fate == "leak":
        held: list[bytearray] = []
        while len(held) * LEAK_STEP_BYTES < LEAK_BYTES:
            held.append(bytearray(os.urandom(4096) * (LEAK_STEP_BYTES // 4096)))
            await asyncio.sleep(0.05)
        await asyncio.sleep(10)


@agent(concurrency=100, retry=Retry(attempts=3, delay=0.2), timeout=30)
async def labour(ctx: Context, work: Work) -> int:
    """Works as long as it is told to."""
    ctx.charge("labour", amount_micros=CHARGES["labour"])
    if work.fate:
        await meet(work.fate, work.ms)
    elif work.ms:
        await asyncio.sleep(work.ms / 1000)
    for n in range(work.children):
        await ctx.submit(errand, Errand(number=work.number, ms=n), key=f"e{work.number % 50}")
    if work.gives_up:
        raise PermanentError("was told to give up")
    if ctx.attempt <= work.fails:
        raise RuntimeError(f"was told to fail {work.fails} times")
    return work.number


@agent(concurrency=50)
async def errand(ctx: Context, what: Errand) -> int:
    """Runs an errand."""
    ctx.charge("errand", amount_micros=CHARGES["errand"])
    await asyncio.sleep(what.ms / 1000)
    return what.number
