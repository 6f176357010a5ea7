"""A worker whose clock is wrong: a library that lies about the time is loaded before all others."""

from __future__ import annotations

from pathlib import Path

_FOLDERS = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
# The variant for programs with threads; the other one can deadlock in them.
_NAME = "libfaketimeMT.so.1"


def library() -> Path | None:
    """Where libfaketime is, None if it is not installed."""
    for folder in _FOLDERS:
        for found in Path("/").glob(f"{folder[1:]}/{_NAME}"):
            return found
    return None


def needs() -> str | None:
    """What is missing to skew a clock here."""
    return None if library() else "needs libfaketime (Debian: libfaketime)"


def ahead(seconds: int) -> dict[str, str]:
    """Variables for a process whose wall clock is ahead (behind if negative).

    Its monotonic clocks are the machine's: a clock that is set wrong runs as fast as others.
    """
    path = library()
    assert path is not None, needs()
    return {
        "LD_PRELOAD": str(path),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
        # Files keep their real times, or a cache of bytecode looks newer than its source.
        "NO_FAKE_STAT": "1",
    }
