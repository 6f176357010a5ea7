"""Processes as seen from outside: is this one still the one that was meant.

Only the standard library, so that the watchdog of the embedded Kafka starts at once.
"""

from __future__ import annotations

import time
from pathlib import Path

_EXEC_MAX_S = 1.0
_POLL_S = 0.005


def is_alive(pid: int, mark: str) -> bool:
    """Whether ``pid`` runs (or is stopped) and has ``mark`` in its command line.

    The mark guards against a number that went to another process. A zombie is dead: in a
    container nobody may ever collect it.
    """
    until = time.monotonic() + _EXEC_MAX_S
    while True:
        state, command = _describe(pid)
        if not state or state in "ZX":
            return False
        # While a process becomes another program it has no command line for a moment. The
        # bound is for those that never have one: the kernel's own.
        if command or time.monotonic() > until:
            return mark in command
        time.sleep(_POLL_S)


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return _describe(pid)[0] == "T"


def _describe(pid: int) -> tuple[str, str]:
    """(state letter, command line) of a process; both empty if there is none."""
    proc = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            # The name in parentheses may itself hold spaces and parentheses.
            state = (proc / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            return state, (proc / "cmdline").read_text(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return "", ""
    import subprocess

    ps = subprocess.run(
        ["ps", "-ww", "-o", "state=,command=", "-p", str(pid)], capture_output=True, text=True
    )
    state, _, command = ps.stdout.strip().partition(" ")
    return state[:1], command
