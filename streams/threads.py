"""Drives steppers on threads: the production side of the ``Runner`` port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from streams.ports import Stepper

T = TypeVar("T")
log = logging.getLogger("streams.threads")

TICK_S = 0.05


class ThreadSignal:
    """Wakes one waiting thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Return when set or after ``seconds``; the signal is consumed."""
        self._event.wait(seconds)
        self._event.clear()


class ThreadRunner:
    """One daemon thread per stepper: a stuck broker must not keep a process alive."""

    def __init__(self) -> None:
        self._stepped = threading.Condition()
        self._watched = 0

    def signal(self) -> ThreadSignal:
        return ThreadSignal()

    def spawn(self, name: str, stepper: Stepper) -> RunningThread:
        running = RunningThread(name, lambda: self._drive(stepper))
        running.start()
        return running

    async def call(self, function: Callable[[], T]) -> T:
        """On a daemon thread of its own: the end of a process does not wait for a broker."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                result = function()
            except BaseException as error:
                _tell(loop, outcome, lambda error=error: outcome.set_exception(error))
            else:
                _tell(loop, outcome, lambda: outcome.set_result(result))

        threading.Thread(target=run, name="call", daemon=True).start()
        return await outcome

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float, tick: Callable[[], None]
    ) -> bool:
        now = time.monotonic()
        deadline, tick_due = now + timeout_s, now + TICK_S
        with self._stepped:
            self._watched += 1
        try:
            while not condition():
                now = time.monotonic()
                if now >= deadline:
                    return False
                # A step of another ends one wait early: that brings neither end nor tick nearer.
                if now >= tick_due:
                    tick_due = now + TICK_S
                    tick()
                with self._stepped:
                    self._stepped.wait(min(tick_due, deadline) - now)
            return True
        finally:
            with self._stepped:
                self._watched -= 1

    def _drive(self, stepper: Stepper) -> None:
        for wait in stepper:
            if self._watched:
                with self._stepped:
                    self._stepped.notify_all()
            if wait is not None:
                assert isinstance(wait.signal, ThreadSignal)
                wait.signal.wait(wait.seconds)
        with self._stepped:
            self._stepped.notify_all()


def _tell(
    loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], tell: Callable[[], None]
) -> None:
    """Have the loop take an outcome, if anybody still waits for it."""

    def unless_given_up() -> None:
        if not outcome.done():
            tell()

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(unless_given_up)


class RunningThread:
    """A stepper on its thread; what it raised is kept in ``error``."""

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._target = target
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._target()
        except BaseException as error:
            self.error = error
            log.exception("thread %s died", self._thread.name)
