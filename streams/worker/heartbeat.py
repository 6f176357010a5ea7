"""Says each second how a worker is, from a thread of its own: it goes on while the loop blocks."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from streams.avro import encode
from streams.errors import LogError
from streams.ports import Clock, Log, Signal, Stepper, Wait
from streams.records import Heartbeat, WorkerState
from streams.worker.pool import Pool

log = logging.getLogger("streams.worker")

BEAT_S = 1.0
LOOP_TICK_S = 0.2
BLOCKED_S = 1.0
"""A loop that has not turned for this long is blocked by the handler it runs."""
_PACKAGE = str(Path(__file__).parents[1])
_STDLIB = sysconfig.get_path("stdlib")


def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("agentstreams")
    except PackageNotFoundError:
        return "unknown"


class LoopWatch:
    """Measures from outside how long the event loop has not turned, and what it is in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ticked_at = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._worst_s = 0.0
        self._named = ""
        self._measured: tuple[float, float] = (clock.monotonic(), time.process_time())
        self._tick()

    def lag_s(self) -> float:
        """Seconds by which the loop is late; asked about every BEAT_S."""
        now, cpu = self._clock.monotonic(), time.process_time()
        (before, cpu_before), self._measured = self._measured, (now, cpu)
        gap = now - before
        if gap > BEAT_S + BLOCKED_S and cpu - cpu_before < gap / 4:
            # The whole process was stopped, this thread too: no handler's doing.
            self._ticked_at = now
        return max(0.0, now - self._ticked_at - LOOP_TICK_S)

    def worst_lag_s(self) -> float:
        """The longest delay since this was asked last, one that goes on included."""
        worst, self._worst_s = max(self._worst_s, self.lag_s()), 0.0
        return worst

    def blocked_by(self) -> str | None:
        """Where the loop is stuck, as ``file:line in function``; None while it turns."""
        lag = self.lag_s()
        if lag < BLOCKED_S:
            self._named = ""
            return None
        where = _user_frame(sys._current_frames().get(self._thread))  # pyright: ignore[reportPrivateUsage]
        if where != self._named:
            self._named = where
            log.warning(
                "the event loop has been blocked for %.1f s by %s; "
                "hint: await asyncio.to_thread(...) takes blocking work off the loop",
                lag,
                where,
            )
        return where

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self._worst_s = max(self._worst_s, now - self._ticked_at - LOOP_TICK_S)
        self._ticked_at = now
        self._timer = self._loop.call_later(LOOP_TICK_S, self._tick)


def _user_frame(frame: FrameType | None) -> str:
    """The innermost frame of the user's own code, else the innermost at all."""
    found = frame
    while frame is not None:
        name = frame.f_code.co_filename
        if name == asyncio.runners.__file__:
            break  # below the loop is who started it, not who blocks it
        if not name.startswith((_PACKAGE, _STDLIB, "<")):
            found = frame
            break
        frame = frame.f_back
    if found is None:
        return "unknown"
    return f"{found.f_code.co_filename}:{found.f_lineno} in {found.f_code.co_name}"


class Heart:
    """Writes the heartbeats of one worker; ``run`` is its stepper."""

    def __init__(
        self,
        source: Log,
        topic: str,
        slot: str,
        pools: Sequence[Pool],
        clock: Clock,
        signal: Signal,
        watch: LoopWatch,
    ) -> None:
        self._producer = source.producer()
        self._topic = topic
        self._slot = slot
        self._pools = pools
        self._clock = clock
        self._signal = signal
        self._watch = watch
        self._host = socket.gethostname()
        self._version = package_version()
        self._started_at = clock.now_micros()
        self._sequence = 0
        self._last: tuple[float, int, list[int]] = (clock.monotonic(), 0, [0] * len(pools))
        self.state: WorkerState = "starting"
        self.latest: Heartbeat | None = None
        self.failure: LogError | None = None
        """The right to write heartbeats is missing: others would take this worker for dead."""
        self._ending = False

    def stop(self) -> None:
        """Write a last beat and end."""
        self._ending = True
        self.state = "stopped"
        self._signal.set()

    def run(self) -> Stepper:
        """Beat until stopped. A beat that cannot be written is left out."""
        try:
            while True:
                self._beat()
                if self._ending:
                    break
                yield Wait(self._signal, BEAT_S)
            self._producer.flush(2.0)
        finally:
            self._producer.close()

    def _beat(self) -> None:
        beat = self._measure()
        self.latest = beat
        try:
            key, value = self._slot.encode(), encode(beat)
            self._producer.produce(self._topic, 0, key, value, on_delivery=self._delivered)
            self._producer.poll(0)
        except LogError as error:
            self._delivered(error)

    def _delivered(self, error: LogError | None) -> None:
        if error is None:
            return
        log.info("heartbeat: %s", error)
        if error.kind == "TOPIC_AUTHORIZATION_FAILED":
            self.failure = error

    def _measure(self) -> Heartbeat:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = round((usage.ru_utime + usage.ru_stime) * 1e6)
        now = self._clock.monotonic()
        before, cpu_before, finished_before = self._last
        finished = [pool.finished for pool in self._pools]
        self._last = (now, cpu, finished)
        span = max(now - before, 1e-3)
        self._sequence += 1
        return Heartbeat(
            worker_id=self._slot,
            slot=self._slot,
            host=self._host,
            pid=os.getpid(),
            version=self._version,
            sequence=self._sequence,
            started_at=self._started_at,
            at=self._clock.now_micros(),
            state=self.state,
            cpu_micros=cpu,
            cpu_permille=round((cpu - cpu_before) / span / 1000) if cpu_before else 0,
            rss_bytes=_resident_bytes(),
            loop_lag_micros=round(self._watch.worst_lag_s() * 1e6),
            blocked_by=self._watch.blocked_by(),
            pools=[
                pool.beat((now_done - then_done) / span)
                for pool, now_done, then_done in zip(
                    self._pools, finished, finished_before, strict=True
                )
            ],
        )


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        # The peak, where the present size is not to be had; macOS counts bytes, Linux kB.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
