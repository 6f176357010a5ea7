"""What a client gives back: handles on tasks, batches of results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Generic, TypeVar, cast

from streams.client.follow import Awaited
from streams.errors import (
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TaskNotSucceeded,
    WaitTimeout,
)
from streams.policies import Duration, seconds
from streams.records import Result

Out = TypeVar("Out")

OPEN_MAX = 10_000
"""Tasks of a batch that were submitted and whose results were not taken yet."""


class Handle(Generic[Out]):
    """A submitted task, durable in the log; the client it came from must stay open."""

    def __init__(
        self,
        agent: str,
        task_id: str,
        run_id: str,
        awaited: Awaited,
        parse: Callable[[bytes], Out],
    ) -> None:
        self.task_id = task_id
        self._agent = agent
        self._run_id = run_id
        self._awaited = awaited
        self._parse = parse

    @property
    def run_id(self) -> str:
        """The run it belongs to; on a handle that was looked up, empty until its result came."""
        future = self._awaited.future
        ended = future.done() and not future.cancelled() and future.exception() is None
        return self._run_id or (future.result().run_id if ended else "")

    async def result(self, timeout: Duration | None = None) -> Out:
        """The output. TaskFailed, TaskCancelled or TaskExpired if there is none; WaitTimeout.

        StreamsError names the right that is missing if results may not be read.
        """
        return output_of(await self.record(timeout))

    async def record(self, timeout: Duration | None = None) -> Result[Out]:
        """The terminal record, however the task ended; WaitTimeout after ``timeout`` seconds."""
        limit = None if timeout is None else seconds(timeout, "timeout")
        try:
            raw = await asyncio.wait_for(asyncio.shield(self._awaited.future), limit)
        except TimeoutError:
            raise WaitTimeout(
                f"task {self.task_id} has no result after {limit:g} s",
                hint=f"it goes on: `streams task get {self._agent} {self.task_id}` shows it; "
                "is a worker running? `streams worker list`",
            ) from None
        return parsed(raw, self._parse)


class Batch(Generic[Out]):
    """The results of many tasks in the order in which they end; iterate it once."""

    def __init__(
        self,
        run_id: str,
        feed: AsyncIterator[tuple[Awaited, asyncio.Future[None]]],
        parse: Callable[[bytes], Out],
    ) -> None:
        self.run_id = run_id
        self.submitted = 0
        self._parse = parse
        self._feed = feed
        self._queue: asyncio.Queue[Result[bytes] | BaseException] = asyncio.Queue()
        self._open: dict[str, Awaited] = {}
        self._room = asyncio.Event()
        self._fed = False
        self._feeder = asyncio.create_task(self._run())

    async def __aiter__(self) -> AsyncIterator[Result[Out]]:
        try:
            while not self._fed or self._open or not self._queue.empty():
                item = await self._queue.get()
                if isinstance(item, _Fed):
                    continue
                if isinstance(item, BaseException):
                    raise item
                del self._open[item.task_id]
                self._room.set()
                yield parsed(item, self._parse)
        finally:
            self._feeder.cancel()

    async def _run(self) -> None:
        """Submit until the inputs are used up, at most OPEN_MAX ahead of who takes results."""
        delivering: list[asyncio.Future[None]] = []
        try:
            async for awaited, confirmed in self._feed:
                self._open[awaited.task_id] = awaited
                awaited.future.add_done_callback(self._ended)
                self.submitted += 1
                delivering.append(confirmed)
                if len(delivering) >= 1_000:
                    await asyncio.gather(*delivering)
                    delivering.clear()
                while len(self._open) >= OPEN_MAX:
                    self._room.clear()
                    await self._room.wait()
            await asyncio.gather(*delivering)
            self._fed = True
            self._queue.put_nowait(_Fed())
        except Exception as error:
            self._queue.put_nowait(error)

    def _ended(self, future: asyncio.Future[Result[bytes]]) -> None:
        if not future.cancelled():
            self._queue.put_nowait(future.exception() or future.result())


class _Fed(Exception):
    """Wakes the iteration when all inputs are submitted."""


def output_of(result: Result[Out]) -> Out:
    """The output of a succeeded result; raises what fits any other."""
    if result.status == "succeeded":
        return cast(Out, result.output)
    kinds: dict[str, type[TaskNotSucceeded]] = {
        "cancelled": TaskCancelled,
        "expired": TaskExpired,
    }
    kind = kinds.get(result.status, TaskFailed)
    error = result.error
    said = f": {error.type}: {error.message}" if error is not None else ""
    frames = "".join(f"\n  {frame}" for frame in (error.frames if error else ()))
    what = f"task {result.task_id} of '{result.agent}' {result.status} ({result.reason})"
    raise kind(
        f"{what}{said}{frames}",
        record=result,
        hint=error.hint if error is not None else "",
    )


def parsed(raw: Result[bytes], parse: Callable[[bytes], Out]) -> Result[Out]:
    """The same record with its output read."""
    return cast(
        "Result[Out]",
        replace(raw, output=None if raw.output is None else parse(raw.output)),  # type: ignore[type-var]
    )
