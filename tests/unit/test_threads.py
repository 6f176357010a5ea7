"""Steppers and blocking calls on threads."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from streams.ports import Stepper, Wait
from streams.threads import TICK_S, ThreadRunner


def call(function: Callable[[], object]) -> object:
    async def run() -> object:
        return await ThreadRunner().call(function)

    return asyncio.run(run())


def test_a_call_runs_beside_the_loop_and_brings_its_result() -> None:
    assert call(threading.get_ident) != threading.get_ident()


def test_a_call_brings_its_error() -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        call(fails)


def test_a_process_does_not_wait_for_a_call_that_hangs() -> None:
    code = (
        "import asyncio, threading\n"
        "from streams.threads import TICK_S, ThreadRunner\n"
        "async def main():\n"
        "    hanging = asyncio.create_task(ThreadRunner().call(threading.Event().wait))\n"
        "    await asyncio.sleep(0)\n"
        "    hanging.cancel()\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


def test_what_ends_a_stepper_is_kept() -> None:
    runner = ThreadRunner()

    def fails() -> Stepper:
        yield None
        raise ValueError("no")

    running = runner.spawn("fails", fails())
    assert running.join(10)
    assert isinstance(running.error, ValueError)


def test_a_signal_wakes_a_stepper_and_a_step_wakes_who_waits_for_it() -> None:
    runner, seen = ThreadRunner(), list[str]()
    signal = runner.signal()

    def steps() -> Stepper:
        yield Wait(signal, 60)
        seen.append("woken")
        yield None

    running = runner.spawn("steps", steps())
    signal.set()
    assert runner.wait_until(lambda: bool(seen), 10, lambda: None)
    assert running.join(10)
    assert not runner.wait_until(lambda: False, 0.05, lambda: None)


def test_steps_of_others_do_not_shorten_a_wait() -> None:
    """The committer steps many times while a release waits for it: it has its whole time."""
    runner, steps_left = ThreadRunner(), 500
    pause = runner.signal()

    def steps() -> Stepper:
        nonlocal steps_left
        while steps_left:
            steps_left -= 1
            yield Wait(pause, 0.0005)

    running = runner.spawn("steps", steps())
    assert runner.wait_until(lambda: steps_left == 0, 20, lambda: None)
    assert running.join(10)


def test_steps_of_others_bring_no_tick_nearer() -> None:
    """A tick is a call on the consumer: the committer's steps must not multiply it."""
    runner, ticks = ThreadRunner(), list[float]()
    pause, ended = runner.signal(), False

    def steps() -> Stepper:
        while not ended:
            yield Wait(pause, 0.0005)

    running = runner.spawn("steps", steps())
    assert runner.wait_until(lambda: len(ticks) == 4, 20, lambda: ticks.append(time.monotonic()))
    ended = True
    assert running.join(10)
    assert all(after - before >= TICK_S for before, after in pairwise(ticks))
