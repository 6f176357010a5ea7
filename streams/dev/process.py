"""One worker process of ``streams dev``, seen from ``streams dev``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Self

from streams.dev.protocol import GO, Loaded, Spec, Started, Trouble, pack, unpack

LINE_BYTES_MAX = 16 * 1024 * 1024
"""The schemas of all agents come in one line."""
_LAST_WORDS_S = 0.5


class WorkerProcess:
    """Started by ``start``; it serves after ``go``, and ends with this process at the latest.

    ``on_line`` is given each line that it or its agents print.
    """

    def __init__(self, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.started_at = loop.time()
        self.trouble: Trouble | None = None
        self.loaded: asyncio.Future[Loaded | None] = loop.create_future()
        """What it loaded; None if it ended before, for a reason in ``trouble`` if it said one."""
        self.started: asyncio.Future[bool] = loop.create_future()
        """Whether it joined its groups; False if it ended before."""
        self._process = process
        self._on_line = on_line
        self.ending = asyncio.create_task(self._follow())
        """Done when it has ended; its result is the exit code."""

    @classmethod
    async def start(cls, spec: Spec, on_line: Callable[[str], None]) -> Self:
        """Start loading the agents."""
        process = await asyncio.create_subprocess_exec(
            # -P: a folder named "streams" in the current directory is not this package
            *(sys.executable, "-P", "-m", "streams.dev.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # a Ctrl-C is for streams dev, which ends it in order
        )
        self = cls(process, on_line)
        self._send(pack(spec))
        return self

    def go(self) -> None:
        """Let it serve its slot."""
        self.started_at = asyncio.get_running_loop().time()
        self._send(GO)

    async def wait(self) -> int:
        """Its exit code when it has ended, negative for the signal that killed it."""
        return await asyncio.shield(self.ending)

    async def end(self, number: signal.Signals, timeout_s: float) -> bool:
        """End it by a signal, and by SIGKILL after ``timeout_s``; whether it ended by itself."""
        self.send(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), timeout_s)
            return True
        self.send(signal.SIGKILL)
        await self.wait()
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)

    async def _follow(self) -> int:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        told = asyncio.create_task(self._messages(self._process.stdout))
        printed = asyncio.create_task(self._lines(self._process.stderr))
        code = await self._process.wait()
        # What it said last may still be in the pipes; processes of its own may hold them open.
        _, left = await asyncio.wait({told, printed}, timeout=_LAST_WORDS_S)
        for task in left:
            task.cancel()
        if not self.loaded.done():
            self.loaded.set_result(None)
        if not self.started.done():
            self.started.set_result(False)
        return code

    async def _messages(self, pipe: asyncio.StreamReader) -> None:
        while line := await pipe.readline():
            message = unpack(line)
            if isinstance(message, Trouble):
                self.trouble = message
            elif isinstance(message, Loaded):
                self.loaded.set_result(message)
            elif isinstance(message, Started):
                self.started.set_result(True)

    async def _lines(self, pipe: asyncio.StreamReader) -> None:
        while line := await pipe.readline():
            self._on_line(line.decode(errors="replace").rstrip())
