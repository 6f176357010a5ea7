"""The job: submit a corpus until the run has lasted, kill a worker in the middle of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from streams.agent import Agent
from streams.client import Client
from streams.demo.corpus import Piece
from streams.demo.screen import Screen
from streams.demo.watch import Watch
from streams.demo.workers import Held, WorkerProcess
from streams.errors import WaitTimeout
from streams.verify import input_hash

RUN_S = 5.0
"""The corpus repeats, under new keys, until the run has lasted this long."""
CRASH_S = 0.6 * RUN_S
"""No crash before: what is answered by then is more than half of the run."""
OPEN_MAX = 300
"""Tasks submitted and not answered."""
CHUNK = 20
STALL_S = 30.0


@dataclass(frozen=True, slots=True)
class Crash:
    """A worker that was killed: when, with what in its hands."""

    slot: str
    pid: int
    answered: int
    """Results that were in."""
    held: Held
    killed_at: int
    """Microseconds since the epoch."""


class Job:
    """One run over the corpus with one crash; for one ``run``."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        agents: tuple[Agent[Any, Any], Agent[Any, Any]],
        workers: list[WorkerProcess],
        watch: Watch,
        look: Callable[[str, Held | None], Held],
        screen: Screen,
    ) -> None:
        self._pieces = pieces
        self._first, self._second = agents
        self._workers = workers
        self._watch = watch
        self._look = look
        self._screen = screen
        self._room = asyncio.Event()
        self.submitted: dict[str, str] = {}
        """Task id -> hash of the input, of what the log has accepted."""
        self.rounds = 0
        """Passes over the corpus."""
        self._crash: Crash | None = None
        self._recovery_s: float | None = None

    async def run(self, client: Client) -> tuple[Crash, float]:
        """Until every task is answered; the crash, and the seconds from it to the first new
        result of the dead worker's partitions. WorkerDied; WaitTimeout if nothing comes any more.
        """
        self._began = moved = time.monotonic()
        feeding = asyncio.create_task(self._feed(client))
        try:
            while not (feeding.done() and self._complete()):
                if feeding.done():
                    await feeding
                if await asyncio.to_thread(self._watch.read):
                    moved = time.monotonic()
                    self._room.set()
                self._check(moved)
                if self._crash is None:
                    await self._try_crash()
                elif self._recovery_s is None:
                    self._see_recovery(self._crash)
                self._screen.update(self._share(), self._standing())
            await feeding
        finally:
            feeding.cancel()
        assert self._crash is not None
        assert self._recovery_s is not None
        return self._crash, self._recovery_s

    # -- feeding -------------------------------------------------------------------------

    async def _feed(self, client: Client) -> None:
        for number in count(1):
            for start in range(0, len(self._pieces), CHUNK):
                while len(self.submitted) - self._answered >= OPEN_MAX:
                    self._room.clear()
                    await self._room.wait()
                chunk = self._pieces[start : start + CHUNK]
                await asyncio.gather(*(self._submit(client, piece, number) for piece in chunk))
            self.rounds = number
            if self._elapsed_s >= RUN_S and self._recovery_s is not None:
                return

    async def _submit(self, client: Client, piece: Piece, number: int) -> None:
        value = self._first.input(topic=piece.topic, part=piece.part, text=piece.text)
        key = piece.topic if number == 1 else f"{piece.topic} ({number})"
        handle = await client.submit(self._first, value, key=key)
        self.submitted[handle.task_id] = input_hash(self._first.dump_input(value))

    # -- the crash -----------------------------------------------------------------------

    async def _try_crash(self) -> None:
        """Kill the last worker if half of the results are in, and it holds unfinished tasks."""
        tasks = max(len(self.submitted), len(self._pieces))
        if self._elapsed_s < CRASH_S or 2 * self._answered < tasks:
            return
        victim = self._workers[-1]
        before = await asyncio.to_thread(self._look, victim.slot, None)
        if not before.unfinished:
            return
        killed_at = time.time_ns() // 1_000
        victim.kill()
        answered = self._answered
        # Looked at again when it is dead: now nobody can finish what it left.
        left = await asyncio.to_thread(self._look, victim.slot, before)
        self._workers[-1] = victim.again()
        if not left.unfinished:
            return  # it had ended all of it before the signal came: try again
        self._crash = Crash(victim.slot, victim.pid, answered, left, killed_at)
        self._screen.bad(
            f"{victim.slot} (pid {victim.pid}) killed with SIGKILL at {answered:,} results, "
            f"holding {left.unfinished:,} unfinished tasks"
        )

    def _see_recovery(self, crash: Crash) -> None:
        first = self._watch.first_after(crash.killed_at, crash.held.ends)
        if first is not None:
            self._recovery_s = max(0, first.appended_at - crash.killed_at) / 1e6
            pid = self._workers[-1].pid
            self._screen.good(
                f"{crash.slot} is back in its slot (pid {pid}): "
                f"first new result {self._recovery_s:.2f} s after the kill"
            )

    # -- where it stands -----------------------------------------------------------------

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def _answered(self) -> int:
        return self._watch.statuses[self._first.name].total()

    def _complete(self) -> bool:
        """Every task is answered, and so is what these have caused."""
        first, second = (self._watch.statuses[a.name] for a in (self._first, self._second))
        return first.total() >= len(self.submitted) and second.total() >= first["succeeded"]

    def _check(self, moved: float) -> None:
        for worker in self._workers:
            worker.check()
        if time.monotonic() - moved > STALL_S:
            raise WaitTimeout(
                f"no result came for {STALL_S:g} s; {self._answered:,} of "
                f"{len(self.submitted):,} tasks are answered",
                hint="is the machine overloaded? try again",
            )

    def _share(self) -> float:
        """How much of the run is over, by time and by results, 0 to 1."""
        return min(self._elapsed_s / RUN_S, self._answered / len(self._pieces), 1.0)

    def _standing(self) -> str:
        return f"{self._answered:,} results of {len(self.submitted):,} tasks"
