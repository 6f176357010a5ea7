"""Ends a worker of this host and waits until it has ended."""

from __future__ import annotations

import os
import signal
import time

from streams.catalog import Catalog
from streams.errors import Conflict, WaitTimeout
from streams.inspect.workers import find_worker, is_here, seen_workers
from streams.ports import Clock, Log
from streams.records import Heartbeat
from streams.topics import Topics

POLL_S = 0.2


def drain_worker(
    log: Log,
    topics: Topics,
    catalog: Catalog,
    clock: Clock,
    worker_id: str,
    keep: bool,
    timeout_s: float,
) -> Heartbeat:
    """Signal the worker's process and wait for its last beat or its end; blocks.

    NotFound for a worker that was not heard of; Conflict for one that is dead, has ended or
    runs elsewhere; WaitTimeout if it has not ended in time (it goes on draining).
    """
    seen = find_worker(seen_workers(log, topics, catalog, clock), worker_id)
    beat = seen.beat
    if not seen.alive:
        raise Conflict(f"worker '{worker_id}' is {seen.state} already")
    if not is_here(beat):
        how = "SIGUSR1" if keep else "SIGTERM"
        raise Conflict(
            f"worker '{worker_id}' runs on the host '{beat.host}', not on this one",
            hint=f"there, run the same command, or send {how} to its process {beat.pid}",
        )
    try:
        os.kill(beat.pid, signal.SIGUSR1 if keep else signal.SIGTERM)
    except ProcessLookupError:
        raise Conflict(
            f"worker '{worker_id}' has no process any more (it was {beat.pid})",
            hint="its partitions go to others when its session ends",
        ) from None
    end = clock.monotonic() + timeout_s
    while _runs(beat.pid):
        if clock.monotonic() > end:
            raise WaitTimeout(
                f"worker '{worker_id}' (pid {beat.pid}) has not ended after {timeout_s:g} s",
                hint="it goes on draining; streams worker list",
            )
        time.sleep(POLL_S)
    return beat


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A process that has ended and that nobody has waited for is a zombie, and is no more.
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return True
