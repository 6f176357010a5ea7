"""The interpreter of a process that does nothing but run agents."""

from __future__ import annotations

import gc

YOUNG_MAX, OLDER = 10_000, 20
"""New objects before the youngest are looked at; and how often that happens before older are."""


def dedicate() -> None:
    """Have the interpreter look for cycles as a worker needs it; for who owns the process.

    A task leaves none, and what it makes lives until its commit. By default a look begins with
    each 700 new objects, and with thousands of tasks in flight the looks at all of them are a
    tenth of the time. What was imported until now is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, OLDER, OLDER)
