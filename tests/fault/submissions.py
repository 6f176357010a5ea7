"""The independent log of submissions: on disk, written before a record is produced and after.

One line each: ``I <task id> <hash of the input> <nature>`` before the record is given to the
client, ``A <task id>`` when a broker acknowledged it, ``F <task id> <error>`` when it gave up.
A task with its intent alone, or given up, may or may not be in the topics. ``R <n>`` is the
acknowledgement of n raw records that are no tasks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Submissions:
    """What was submitted: hash of the input by task id."""

    acknowledged: dict[str, str] = field(default_factory=dict[str, str])
    uncertain: dict[str, str] = field(default_factory=dict[str, str])
    natures: dict[str, str] = field(default_factory=dict[str, str])
    """What each task is, a word of ``workload.nature``: by it the verdict knows how it must end."""


class SubmissionLog:
    """Appends to the log; each call is on its way to the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def intend(self, tasks: Iterable[tuple[str, str, str]]) -> None:
        """Note what will be produced: (task id, hash of the input, nature)."""
        self._write(f"I {task_id} {digest} {nature}\n" for task_id, digest, nature in tasks)

    def acknowledge(self, task_ids: Iterable[str]) -> None:
        """Note what a broker has taken."""
        self._write(f"A {task_id}\n" for task_id in task_ids)

    def give_up(self, task_id: str, why: str) -> None:
        """Note what the client could not get acknowledged."""
        self._write([f"F {task_id} {why}\n"])

    def close(self) -> None:
        self._file.close()

    def _write(self, lines: Iterable[str]) -> None:
        with self._lock:
            self._file.write("".join(lines).encode())


def read(path: Path) -> Submissions:
    """What the log says; a line that was cut off by a crash counts for nothing."""
    found = Submissions()
    for line in path.read_text().splitlines(keepends=True):
        kind, *fields = line.split()
        if not line.endswith("\n"):
            continue
        if kind == "I":
            found.uncertain[fields[0]] = fields[1]
            found.natures[fields[0]] = fields[2]
        elif kind == "A":
            found.acknowledged[fields[0]] = found.uncertain.pop(fields[0])
    return found
