"""Processes as seen from outside: is this one still ours, and how does it end.

Only the standard library, so that the watchdog starts at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_POLL_S = 0.02


def is_alive(pid: int, mark: str) -> bool:
    """Whether ``pid`` runs (or is stopped) and has ``mark`` in its command line.

    The mark guards against a number that went to another process. A zombie is dead: in a
    container nobody may ever collect it.
    """
    state, command = _describe(pid)
    return bool(state) and state not in "ZX" and mark in command


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return _describe(pid)[0] == "T"


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


def _describe(pid: int) -> tuple[str, str]:
    """(state letter, command line) of a process; both empty if there is none."""
    proc = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            # The name in parentheses may itself hold spaces and parentheses.
            state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            return state, (proc / "cmdline").read_text(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return "", ""
    ps = subprocess.run(
        ["ps", "-ww", "-o", "state=,command=", "-p", str(pid)], capture_output=True, text=True
    )
    state, _, command = ps.stdout.strip().partition(" ")
    return state[:1], command
