"""Steppers on an event loop instead of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from math import isfinite
from typing import Any, Protocol, TypeVar

from streams.errors import ExtraMissing, LogError
from streams.ports import Clock, Stepper, Wait

try:
    from greenlet import getcurrent, greenlet
except ImportError as missing:
    raise ExtraMissing("testing", "agents in memory") from missing

T = TypeVar("T")
Pace = Callable[[], float]

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
    """Something under way in steps; implements :class:`~streams.ports.Running`.

    Its body has a stack of its own (a greenlet), so it can stop in the middle of a call, as a
    thread does, and everything else goes on.
    """

    def __init__(self, name: str, body: Callable[[], None], runner: LoopRunner) -> None:
        self.name = name
        self._stack: Any = greenlet(body)
        # What a test sets in its context is seen by handlers that are started from here.
        self._stack.gr_context = copy_context()
        self._runner = runner
        self._signal: LoopSignal | None = None
        self._due = runner.time.monotonic()
        self._changed = asyncio.Event()
        self._ended = False
        self.error: BaseException | None = None
        """What ended it, if an exception did."""
        self._task = asyncio.get_running_loop().create_task(self._drive(), name=name)

    def alive(self) -> bool:
        return not self._ended

    def join(self, timeout_s: float) -> bool:
        """Wait for its end, from another stepper or inside ``Runner.call``; True if it ended."""
        return self._runner.wait_until(lambda: self._ended, timeout_s, lambda: None)

    async def wait(self) -> None:
        """Wait for its end. Raises its error."""
        await asyncio.wait([self._task])
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Make no further step."""
        self._ended = True
        self._changed.set()

    def look_again(self) -> None:
        """What it waits for may have changed."""
        self._changed.set()

    async def _drive(self) -> None:
        loop, stepped = asyncio.get_running_loop(), False
        while not self._ended:
            if self._ready():
                if stepped:
                    # Others that are due now come first: each has its turn at one moment.
                    await asyncio.sleep(0)
                self._step()
                stepped = True
                continue
            stepped = False
            self._changed.clear()
            if self._signal is not None:
                self._signal.wake(self._changed)
            timed = isfinite(self._due) and not self._runner.frozen
            timer = loop.call_at(self._due, self._changed.set) if timed else None
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _ready(self) -> bool:
        """Whether it has a step to make now."""
        if self._runner.frozen:
            return False
        woken = self._signal is not None and self._signal.is_set()
        return woken or self._runner.time.monotonic() >= self._due - EARLY_S

    def _step(self) -> None:
        """Run to where it waits next. An exception ends it and is kept."""
        early_s = self._due - self._runner.time.monotonic()
        if 0 < early_s <= EARLY_S:
            self._runner.time.advance(early_s)
        if self._signal is not None:
            self._signal.take()
        self._signal = None
        self._stack.parent = getcurrent()
        try:
            wait: Wait | None = self._stack.switch()
        except Exception as error:
            if not self._ended:
                self.error = error
            self.end()
            return
        if self._stack.dead:
            self.end()
        else:
            self._pause(wait)

    def _pause(self, wait: Wait | None) -> None:
        if wait is None:
            seconds = self._runner.pace()
        else:
            assert isinstance(wait.signal, LoopSignal)
            self._signal, seconds = wait.signal, wait.seconds
        self._due = self._runner.time.monotonic() + seconds


class LoopRunner:
    """Implements :class:`~streams.ports.Runner` on the running loop: one per simulated process.

    A step is made in one go, so steppers interleave at their yields and waits only, in an order
    that depends on nothing but the time; ``pace`` gives the seconds to the next step.
    """

    def __init__(self, time: SimulatedTime, pace: Pace = lambda: STEP_S) -> None:
        self.time = time
        self.pace = pace
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

        def walk() -> None:
            for wait in stepper:
                _suspend(wait)

        return self._start(name, walk)

    async def call(self, function: Callable[[], T]) -> T:
        """Run a function that may wait, while the loop goes on; it makes no step while frozen.

        LogError ``_DESTROY`` if the process is killed meanwhile.
        """
        outcome: list[T] = []
        await self._start("call", lambda: outcome.append(function())).wait()
        if not outcome:
            raise LogError("_DESTROY", "its process is gone", fatal=True)
        return outcome[0]

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float, tick: Callable[[], None]
    ) -> bool:
        """Wait inside a stepper or a ``call`` while everything else goes on.

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
            _suspend(None)
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

    def _start(self, name: str, body: Callable[[], None]) -> LoopRunning:
        running = LoopRunning(name, body, self)
        self._running = [other for other in self._running if other.alive()]
        self._running.append(running)
        return running


def _suspend(wait: Wait | None) -> None:
    """Leave the running body until its next step."""
    parent = getcurrent().parent
    assert parent is not None, "waiting is for steppers and Runner.call: the loop itself must go on"
    parent.switch(wait)


def idle(seconds: float) -> None:
    """Block the running stepper, as a call that waits for data; nothing outside of one."""
    current = getcurrent()
    if current.parent is not None:
        current.parent.switch(Wait(LoopSignal(), seconds))


class SingleThread:
    """Holds a client to one thread, which is whoever calls first: one stepper, or the loop.

    A second one is a bug of the caller: the real client would let it wait for seconds, or let it
    join in the transaction of the first.
    """

    def __init__(self) -> None:
        self._first: Any = None

    def __call__(self) -> None:
        """AssertionError for a second caller."""
        caller = getcurrent()
        self._first = self._first or caller
        assert caller is self._first, "a second thread calls this client"
