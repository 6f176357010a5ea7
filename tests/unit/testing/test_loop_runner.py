"""Steppers on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest

from streams.ports import Stepper, Wait
from streams.testing.runner import LoopRunner
from streams.testing.time import VirtualTime

T = TypeVar("T")


def virtual(main: Callable[[VirtualTime, LoopRunner], Coroutine[None, None, T]]) -> T:
    async def run() -> T:
        with VirtualTime() as clock:
            return await main(clock, LoopRunner(clock))

    return asyncio.run(run())


def test_steppers_interleave_at_their_yields() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> list[str]:
        seen: list[str] = []

        def stepper(name: str) -> Stepper:
            for step in range(3):
                seen.append(f"{name}{step}")
                yield

        for running in [runner.spawn(name, stepper(name)) for name in "ab"]:
            await running.wait()
        return seen

    assert virtual(main) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_wait_ends_at_its_signal() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> float:
        signal = runner.signal()

        def stepper() -> Stepper:
            yield Wait(signal, 60)

        running = runner.spawn("waits", stepper())
        asyncio.get_running_loop().call_later(2, signal.set)
        await running.wait()
        return clock.monotonic()

    assert virtual(main) == pytest.approx(2)


def test_a_signal_set_twice_wakes_once_and_a_wait_ends_by_time() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> list[float]:
        signal = runner.signal()
        woken: list[float] = []

        def stepper() -> Stepper:
            for _ in range(2):
                yield Wait(signal, 60)
                woken.append(clock.monotonic())

        signal.set()
        signal.set()
        await runner.spawn("waits", stepper()).wait()
        return woken

    assert virtual(main) == [0, pytest.approx(60)]


def test_waiting_for_ever_is_no_timer() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> bool:
        signal = runner.signal()

        def stepper() -> Stepper:
            yield Wait(signal, float("inf"))

        running = runner.spawn("waits", stepper())
        await asyncio.sleep(1e6)
        waited = running.alive()
        signal.set()
        await running.wait()
        return waited and not running.alive()

    assert virtual(main)


def test_an_exception_is_kept_and_raised_to_whoever_awaits_the_end() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> None:
        def stepper() -> Stepper:
            yield
            raise ZeroDivisionError

        running = runner.spawn("fails", stepper())
        with pytest.raises(ZeroDivisionError):
            await running.wait()
        assert running.join(1)
        assert isinstance(running.error, ZeroDivisionError)
        assert not running.alive()

    virtual(main)


def test_waiting_inside_a_step_lets_the_others_go_on() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> tuple[list[str], bool, float]:
        seen: list[str] = []
        asked = runner.signal()

        def commits() -> Stepper:
            yield Wait(asked, 60)
            seen.append("begin")
            yield
            seen.append("commit")

        def polls() -> Stepper:
            yield
            asked.set()
            held = runner.wait_until(lambda: "commit" in seen, 5, lambda: None)
            seen.append("released")
            results.append(held)

        results: list[bool] = []
        running = [runner.spawn("commits", commits()), runner.spawn("polls", polls())]
        for each in running:
            await each.wait()
        return seen, results[0], clock.monotonic()

    seen, held, ended = virtual(main)
    assert seen == ["begin", "commit", "released"]
    assert held
    assert ended < 1


def test_waiting_inside_a_step_ends_in_time_and_ticks() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> tuple[bool, int, float]:
        ticks: list[float] = []
        held: list[bool] = []

        def polls() -> Stepper:
            held.append(runner.wait_until(lambda: False, 1, lambda: ticks.append(1)))
            yield

        await runner.spawn("polls", polls()).wait()
        return held[0], len(ticks), clock.monotonic()

    held, ticks, ended = virtual(main)
    assert not held
    assert 15 <= ticks <= 20
    assert ended == pytest.approx(1, abs=0.05)


def test_two_that_wait_inside_a_step_do_not_enter_each_other() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> list[bool]:
        held: list[bool] = []

        def waits() -> Stepper:
            held.append(runner.wait_until(lambda: False, 0.1, lambda: None))
            yield

        for each in [runner.spawn(name, waits()) for name in "ab"]:
            await each.wait()
        return held

    assert virtual(main) == [False, False]


def test_join_drives_the_other_stepper() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> list[bool]:
        signal = runner.signal()
        joined: list[bool] = []

        def works() -> Stepper:
            yield Wait(signal, 60)
            yield

        def stops() -> Stepper:
            worker = runner.spawn("works", works())
            joined.append(worker.join(0.1))
            signal.set()
            joined.append(worker.join(1))
            yield

        await runner.spawn("stops", stops()).wait()
        return joined

    assert virtual(main) == [False, True]


def test_a_frozen_runner_makes_no_step_until_thawed() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> tuple[int, int, int]:
        steps: list[float] = []

        def stepper() -> Stepper:
            while True:
                steps.append(clock.monotonic())
                yield

        runner.spawn("counts", stepper())
        await asyncio.sleep(0.105)
        runner.freeze()
        before = len(steps)
        await asyncio.sleep(10)
        frozen = len(steps)
        runner.thaw()
        await asyncio.sleep(0.105)
        after = len(steps)
        runner.kill()
        await asyncio.sleep(1)
        assert len(steps) == after
        return before, frozen, after

    before, frozen, after = virtual(main)
    assert before == frozen > 5
    assert after > frozen + 5


def test_a_call_gives_its_result_but_not_while_frozen() -> None:
    async def main(clock: VirtualTime, runner: LoopRunner) -> tuple[float, float]:
        at_once = await runner.call(clock.monotonic)
        runner.freeze()
        asyncio.get_running_loop().call_later(7, runner.thaw)
        return at_once, await runner.call(clock.monotonic)

    assert virtual(main) == (0, pytest.approx(7))
