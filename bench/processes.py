"""Modules of this folder in processes of their own, and what a process has used."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 400
MIB = 1024 * 1024


def command(name: str, *arguments: object) -> list[str]:
    """The command line of a module."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def module(name: str, *arguments: object, tree: Path = ROOT) -> Any:
    """Run a module of a source tree; what it printed, as JSON."""
    done = subprocess.run(
        command(name, *arguments), cwd=tree, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S
    )
    return json.loads(done.stdout)


def cpu_s() -> float:
    """CPU seconds of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mib() -> float:
    """Memory of this process that is in RAM (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def cpu_of_threads() -> dict[str, float]:
    """CPU seconds of each thread by its name, those of the Kafka client's own included (Linux).

    Threads of one name are added up.
    """
    python = {thread.native_id: thread.name for thread in threading.enumerate()}
    used: dict[str, float] = {}
    for folder in Path("/proc/self/task").iterdir():
        number = int(folder.name)
        try:
            name = python.get(number) or (folder / "comm").read_text().strip()
            # The kernel's number for the CPU clock of a thread; clock_getcpuclockid(3) has no
            # form for threads that Python did not start.
            seconds = time.clock_gettime((~number << 3) | 6)
        except OSError:
            continue  # it has ended
        used[name] = used.get(name, 0.0) + seconds
    return used
