"""Steppers on an event loop instead of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import isfinite
from typing import Protocol, TypeVar

from streams.ports import Clock, Stepper, Wait

T = TypeVar("T")

STEP_S = 0.01
"""Time from a ``None`` to the next step, and of one round of waiting inside a stepper."""
TICK_S = 0.05
EARLY_S = 1e-9
"""A loop calls timers up to its clock's resolution early; virtual time would never get there."""


class SimulatedTime(Clock, Protocol):
    """A clock that a test can move (:class:`~streams.testing.time.VirtualTime`)."""

    def advance(self, seconds: float) -> None: ...


class LoopSignal:
    """Implements :class:`~streams.ports.Signal` for the loop's own thread."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: asyncio.Event | None = None

    def set(self) -> None:
        self._set = True
        if self._waiting is not None:
            self._waiting.set()

    def is_set(self) -> bool:
        return self._set

    def take(self) -> None:
        """The one waiting has been woken."""
        self._set = False

    def wake(self, event: asyncio.Event) -> None:
        """Set this event when the signal is set."""
        self._waiting = event


class LoopRunning:
    """A stepper under way; implements :class:`~streams.ports.Running`."""

    def __init__(self, name: str, stepper: Stepper, runner: LoopRunner) -> None:
        self.name = name
        self._stepper = stepper
        self._runner = runner
        self._signal: LoopSignal | None = None
        self._due = runner.time.monotonic()
        self._changed = asyncio.Event()
        self._stepping = False
        self._ended = False
        self.error: BaseException | None = None
        """What ended it, if an exception did."""
        self._task = asyncio.get_running_loop().create_task(self._drive(), name=name)

    def alive(self) -> bool:
        return not self._ended

    def join(self, timeout_s: float) -> bool:
        """Drive the other steppers until this one ends; True if it did."""
        return self._runner.wait_until(lambda: self._ended, timeout_s, lambda: None)

    async def wait(self) -> None:
        """Wait for its end. Raises its error."""
        await asyncio.wait([self._task])
        if self.error is not None:
            raise self.error

    def ready(self) -> bool:
        """Whether it has a step to make now."""
        if self._ended or self._stepping or self._runner.frozen:
            return False
        woken = self._signal is not None and self._signal.is_set()
        return woken or self._runner.time.monotonic() >= self._due - EARLY_S

    def step(self) -> None:
        """Run to the next yield. An exception ends it and is kept."""
        early_s = self._due - self._runner.time.monotonic()
        if 0 < early_s <= EARLY_S:
            self._runner.time.advance(early_s)
        if self._signal is not None:
            self._signal.take()
        self._signal, self._stepping = None, True
        try:
            self._pause(next(self._stepper))
        except StopIteration:
            self.end()
        except Exception as error:
            if not self._ended:
                self.error = error
            self.end()
        finally:
            self._stepping = False
            self._changed.set()

    def end(self) -> None:
        """Make no further step."""
        self._ended = True
        self._changed.set()

    def look_again(self) -> None:
        """What it waits for may have changed."""
        self._changed.set()

    def _pause(self, wait: Wait | None) -> None:
        seconds = STEP_S
        if wait is not None:
            assert isinstance(wait.signal, LoopSignal)
            self._signal, seconds = wait.signal, wait.seconds
        self._due = self._runner.time.monotonic() + seconds

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ended:
            if self.ready():
                self.step()
                continue
            self._changed.clear()
            if self._signal is not None:
                self._signal.wake(self._changed)
            # Frozen, or stepping further out on this stack: only a change goes on from here.
            timed = isfinite(self._due) and not (self._runner.frozen or self._stepping)
            timer = loop.call_at(self._due, self._changed.set) if timed else None
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()


class LoopRunner:
    """Implements :class:`~streams.ports.Runner` on the running loop: one per simulated process.

    A step is made in one go, so steppers interleave at their yields only, in an order that
    depends on nothing but the time.
    """

    def __init__(self, time: SimulatedTime) -> None:
        self.time = time
        self._going = asyncio.Event()
        self._going.set()
        self._running: list[LoopRunning] = []

    @property
    def frozen(self) -> bool:
        return not self._going.is_set()

    def signal(self) -> LoopSignal:
        return LoopSignal()

    def spawn(self, name: str, stepper: Stepper) -> LoopRunning:
        """Start a stepper; its first step comes with the loop's next turn."""
        running = LoopRunning(name, stepper, self)
        self._running = [other for other in self._running if other.alive()]
        self._running.append(running)
        return running

    async def call(self, function: Callable[[], T]) -> T:
        """Run a function on the loop, after its other work; not while frozen."""
        await asyncio.sleep(0)
        await self._going.wait()
        return function()

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float, tick: Callable[[], None]
    ) -> bool:
        """Make steps of the other steppers, and time pass, until the condition holds.

        Called inside a step, which the loop cannot leave: nothing else on the loop goes on.
        ``tick`` is called every 50 ms. Returns whether the condition held in time.
        """
        deadline = self.time.monotonic() + timeout_s
        tick_due = self.time.monotonic() + TICK_S
        while not condition():
            now = self.time.monotonic()
            if now >= deadline:
                return False
            if now >= tick_due:
                tick_due = now + TICK_S
                tick()
            for running in list(self._running):
                if running.ready():
                    running.step()
            self.time.advance(STEP_S)
        return True

    def freeze(self) -> None:
        """No stepper makes a step and no ``call`` begins until :meth:`thaw`: a stopped process."""
        self._going.clear()

    def thaw(self) -> None:
        self._going.set()
        for running in self._running:
            running.look_again()

    def kill(self) -> None:
        """No stepper makes a step again: the process is gone.

        Kill its clients in the log as well: generators still run their ``finally`` when they
        are collected, and a dead client ignores being closed.
        """
        for running in self._running:
            running.end()
