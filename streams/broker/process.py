"""How processes that are ours end.

Only the standard library, so that the watchdog starts at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

from streams.processes import is_alive

_POLL_S = 0.02


def end(pids: Iterable[int], mark: str, *, grace_s: float) -> None:
    """End the processes that carry ``mark``: SIGTERM, and after ``grace_s`` seconds SIGKILL."""
    left = [pid for pid in pids if is_alive(pid, mark)]
    for pid in left:
        send(pid, signal.SIGCONT)
        send(pid, signal.SIGTERM if grace_s > 0 else signal.SIGKILL)
    if not _gone(left, mark, grace_s):
        for pid in left:
            if is_alive(pid, mark):
                send(pid, signal.SIGKILL)
        _gone(left, mark, 10)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _gone(pids: Iterable[int], mark: str, timeout_s: float) -> bool:
    until = time.monotonic() + timeout_s
    while any(is_alive(pid, mark) for pid in pids):
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_S)
    return True
