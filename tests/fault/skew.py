"""A worker whose wall clock is wrong: a library that says so is loaded before all others.

``libfaketime`` is not used: of the version that Debian 12 has, the C11 waits of the Kafka client
know nothing, so that they last as long as the clock is ahead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
COMPILE_TIMEOUT_S = 30
HOUR_S = 3_600


def needs() -> str | None:
    """What is missing to skew a clock here, None if nothing is."""
    if os.uname().sysname != "Linux":
        return "needs Linux"
    return None if _compiler() else "needs a C compiler (Debian: gcc, libc6-dev)"


def ahead(seconds: int, scratch: Path) -> dict[str, str]:
    """Variables for a process whose wall clock is ahead (behind if negative).

    Its other clocks are right: one that is set wrong still runs as fast as others. The library
    is made in ``scratch``. Raises CalledProcessError.
    """
    compiler = _compiler()
    assert compiler is not None, needs()
    library = scratch / "clock.so"
    if not library.exists():
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_TIMEOUT_S)
    return {"LD_PRELOAD": str(library), "CLOCK_AHEAD_S": str(seconds)}


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")
