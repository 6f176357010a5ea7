"""Keeps one worker running on the newest definitions that can be loaded."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streams.dev.process import WorkerProcess
from streams.dev.protocol import Loaded, Spec, Trouble

LOOK_S = 0.15
DRAIN_S = 2.0
"""For running tasks to end, when the worker is replaced or ends."""
END_S = 3.5
"""For the whole worker to end; then it is killed, and its tasks run again."""
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
BACKOFF_JOINED_S_MAX = 2.0
"""For a worker that was at work: a task that crashes it must not stop the others for long."""
STEADY_S = 30.0
"""A worker that lived for so long did not die of how it was started."""
NO_RESTART = frozenset({2, 5})
"""Exit codes that the same start would only bring again: usage, conflict."""


class Reporter(Protocol):
    """Told what happens, for people."""

    def loading(self, changed: Sequence[Path]) -> None: ...
    def serving(self, loaded: Loaded, pid: int, seconds: float, *, again: bool) -> None:
        """A worker has joined its groups; ``again`` if it was only started again."""
        ...

    def refused(self, trouble: Trouble) -> None:
        """New definitions cannot be loaded; the worker before them goes on."""
        ...

    def died(self, code: int, trouble: Trouble | None, again_in_s: float | None) -> None:
        """The worker ended by itself, or did not start; None: until the files change."""
        ...

    def cut_short(self) -> None: ...
    def printed(self, line: str) -> None: ...


@dataclass(slots=True)
class Deaths:
    """Counts deaths in a row and says what follows."""

    count: int = 0

    def after(self, code: int, lived_s: float, *, joined: bool) -> float | None:
        """Seconds until the next start; None if only a change of the files can help.

        ``joined`` says whether it had joined its groups before it ended.
        """
        if code in NO_RESTART:
            return None
        self.count = 1 if lived_s > STEADY_S else self.count + 1
        delay_s = BACKOFF_S[min(self.count, len(BACKOFF_S)) - 1]
        return min(delay_s, BACKOFF_JOINED_S_MAX) if joined else delay_s


class Supervisor:
    """``run`` goes on until it is cancelled; then ``stop`` ends the worker.

    ``look`` names the files that changed since it was last asked; ``before_go`` is awaited
    when definitions have been loaded, before the first of their tasks can end.
    """

    def __init__(
        self,
        spec: Spec,
        reporter: Reporter,
        look: Callable[[], Sequence[Path]],
        before_go: Callable[[Loaded], Awaitable[None]],
    ) -> None:
        self._spec = spec
        self._reporter = reporter
        self._look = look
        self._before_go = before_go
        self._deaths = Deaths()
        self._retry_at: float | None = None
        self._current: WorkerProcess | None = None
        self._candidate: WorkerProcess | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._again = False

    async def run(self) -> None:
        """Serve, and replace or restart the worker when files change or it dies."""
        loop = asyncio.get_running_loop()
        await self._replace()
        while True:
            await self._until_due()
            if changed := self._look():
                self._reporter.loading(changed)
                self._deaths.count = 0
                self._again = False
                await self._replace()
            elif self._current is not None and self._current.ending.done():
                await self._bury(self._current)
            elif self._retry_at is not None and loop.time() >= self._retry_at:
                await self._replace()

    async def stop(self) -> None:
        """End the worker within a few seconds: its running tasks may end first."""
        if self._announcing is not None:
            self._announcing.cancel()
        if self._candidate is not None:
            await self._candidate.end(signal.SIGKILL, END_S)
        if self._current is not None and not await self._current.end(signal.SIGTERM, END_S):
            self._reporter.cut_short()

    def kill(self) -> None:
        """End the worker at once."""
        for process in (self._candidate, self._current):
            if process is not None:
                process.send(signal.SIGKILL)

    async def _until_due(self) -> None:
        """Until it is time to look, or the worker has ended."""
        if self._current is None:
            await asyncio.sleep(LOOK_S)
        else:
            await asyncio.wait({self._current.ending}, timeout=LOOK_S)

    async def _bury(self, dead: WorkerProcess) -> None:
        """The worker ended by itself: say so, and see to a restart if that can help."""
        self._current = None
        self._again = True
        code = await dead.wait()
        lived_s = asyncio.get_running_loop().time() - dead.started_at
        delay_s = self._later(code, lived_s, joined=dead.started.result())
        self._reporter.died(code, dead.trouble, delay_s)

    def _later(self, code: int, lived_s: float, *, joined: bool) -> float | None:
        """Plan the next start after an end with ``code``; seconds until then."""
        delay_s = self._deaths.after(code, lived_s, joined=joined)
        now = asyncio.get_running_loop().time()
        self._retry_at = None if delay_s is None else now + delay_s
        return delay_s

    async def _replace(self) -> None:
        """Load what the files say now; if that succeeds, it takes the place of the worker."""
        begun = asyncio.get_running_loop().time()
        self._retry_at = None
        candidate = await self._start()
        while not candidate.loaded.done():
            await asyncio.wait({candidate.loaded}, timeout=LOOK_S)
            if not candidate.loaded.done() and (changed := self._look()):
                await candidate.end(signal.SIGKILL, END_S)
                self._reporter.loading(changed)
                candidate = await self._start()
        loaded = candidate.loaded.result()
        if loaded is None:
            await self._refuse(candidate)
            return
        await self._before_go(loaded)
        if self._current is not None and not await self._current.end(signal.SIGUSR1, END_S):
            self._reporter.cut_short()
        candidate.go()
        self._current, self._candidate = candidate, None
        self._announcing = asyncio.create_task(self._announce(candidate, loaded, begun))

    async def _start(self) -> WorkerProcess:
        self._candidate = await WorkerProcess.start(self._spec, self._reporter.printed)
        return self._candidate

    async def _refuse(self, candidate: WorkerProcess) -> None:
        self._candidate = None
        code = await candidate.wait()
        goes_on = self._current is not None and not self._current.ending.done()
        if candidate.trouble is None or not goes_on:
            delay_s = None if goes_on else self._later(code, 0, joined=False)
            self._reporter.died(code, candidate.trouble, delay_s)
        else:
            self._reporter.refused(candidate.trouble)

    async def _announce(self, worker: WorkerProcess, loaded: Loaded, begun: float) -> None:
        await asyncio.wait({worker.started})
        if worker.started.result():
            seconds = asyncio.get_running_loop().time() - begun
            self._reporter.serving(loaded, worker.pid, seconds, again=self._again)
