"""Virtual time: an asyncio loop that does not wait for its timers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from streams.errors import UsageError

T = TypeVar("T")

EPOCH_MICROS = 1_767_225_600_000_000
"""Where the virtual wall clock begins: 2026-01-01T00:00:00Z."""


class VirtualTime:
    """Makes the running loop's time virtual inside ``with``; also the Clock of that time.

    Time begins at 0 and moves only when nothing is ready: then straight to the next timer. While
    work runs in an executor it stands still. With no timer set the loop waits for real I/O, so
    sockets and other threads still wake it. Raises UsageError for a loop that is virtual
    already, has timers set, or is not asyncio's own selector loop.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._executing = 0
        self._loop: Any = None
        self._selector: Any = None
        self._select: Callable[[float | None], list[Any]] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._thread = 0
        self._from_thread: Callable[..., Any]

    def __enter__(self) -> VirtualTime:
        loop: Any = asyncio.get_running_loop()
        _require_selector_loop(loop)
        if any(not timer.cancelled() for timer in loop._scheduled):
            raise UsageError(
                "virtual time cannot begin while timers are set",
                hint="enter VirtualTime first, then sleep, use time-outs and start tasks",
            )
        self._loop = loop
        self._selector = loop._selector
        self._select = self._selector.select
        self._selector.select = self._select_or_jump
        loop.time = self.monotonic
        loop.run_in_executor = self._run_in_executor
        self._from_thread = loop.call_soon_threadsafe
        self._thread = threading.get_ident()
        loop.call_soon_threadsafe = self._call_soon
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del self._selector.select, self._loop.time, self._loop.run_in_executor
        del self._loop.call_soon_threadsafe
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def now_micros(self) -> int:
        """Wall clock, microseconds since the epoch."""
        return EPOCH_MICROS + round(self._now * 1_000_000)

    def monotonic(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def boottime(self) -> float:
        """The same as :meth:`monotonic`: a simulated machine does not sleep."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass without giving the loop a turn; timers that fall due run afterwards."""
        if not seconds >= 0:
            raise UsageError(f"advance({seconds!r}): time does not go back")
        self._now += seconds

    def _select_or_jump(self, timeout: float | None = None) -> list[Any]:
        assert self._select is not None
        if timeout is None or (timeout > 0 and self._executing):
            # Nothing but a real event can go on from here.
            return self._select(None)
        events = self._select(0)
        if timeout > 0 and not events:
            self._now += timeout
        return events

    def _call_soon(self, callback: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        """Without waking the loop through its socket where it is the loop's own thread."""
        own = threading.get_ident() == self._thread
        call = self._loop.call_soon if own else self._from_thread
        return call(callback, *args, **kwargs)

    def _run_in_executor(
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        if executor is None:
            executor = self._threads = self._threads or ThreadPoolExecutor(
                thread_name_prefix="virtual-time"
            )
        work = executor.submit(func, *args)
        self._executing += 1
        future = asyncio.wrap_future(work, loop=self._loop)
        # After the callback that delivers the result: time must not move between the two.
        work.add_done_callback(self._executed)
        return future

    def _executed(self, work: Future[Any]) -> None:
        # The work may outlive the loop.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._executing -= 1


def _require_selector_loop(loop: Any) -> None:
    if not isinstance(loop, asyncio.SelectorEventLoop):
        raise UsageError(
            f"virtual time does not work with {type(loop).__module__}.{type(loop).__name__}",
            hint="run the test on asyncio's own selector loop, for example with asyncio.run",
        )
    if "time" in vars(loop):
        raise UsageError(
            "the time of this loop is virtual already", hint="use the VirtualTime there is"
        )
