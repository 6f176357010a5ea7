"""Sees that files of agents changed: by looking, so that it works on every file system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

FILES_MAX = 5_000
"""More than any folder of agents holds; a folder given by mistake must not be walked for ever."""

Stamp = tuple[int, int, int]
_PASSED_OVER = ("__pycache__", "node_modules")
_SCRATCH = ("~", ".swp", ".swx", ".tmp", ".pyc")


class Watch:
    """Looks at files and folders, the prompts and data in them included."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._told = self._last = snapshot(paths)

    def look(self) -> list[Path]:
        """What changed since it last told, once two looks in a row saw the same.

        An editor may write a file in several steps, and a branch change touches many files.
        """
        now = snapshot(self._paths)
        settled = now == self._last
        self._last = now
        if not settled or now == self._told:
            return []
        changed = differences(self._told, now)
        self._told = now
        return changed


def snapshot(paths: Sequence[Path]) -> dict[Path, Stamp]:
    """Each file with what changes when it is written; at most FILES_MAX files."""
    found: dict[Path, Stamp] = {}
    for path in paths:
        for file in _files(path):
            try:
                status = file.stat()
            except OSError:
                continue  # gone between the listing and now
            found[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
            if len(found) >= FILES_MAX:
                return found
    return found


def differences(before: Mapping[Path, Stamp], after: Mapping[Path, Stamp]) -> list[Path]:
    """The files that were changed, made or removed, by name."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _PASSED_OVER
        )
        for name in sorted(files):
            if not name.startswith(".") and not name.endswith(_SCRATCH):
                yield Path(folder, name)
