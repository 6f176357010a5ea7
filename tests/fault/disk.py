"""A broker whose data are on a small disk of their own, which is filled and freed again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.broker.config import Node

SIZE_MB = 256
"""Far less than a segment of the log: room for what a test writes, and soon full."""
COMMAND_TIMEOUT_S = 10
_CHUNK = bytes(1024 * 1024)


class Disk:
    """A disk in memory for the data of one broker, there inside ``with``.

    ``broker`` is its number, from 1. Raises CalledProcessError.
    """

    def __init__(self, broker: int = 1, size_mb: int = SIZE_MB) -> None:
        self._broker = broker
        self._size_mb = size_mb
        self._root = Path()

    def properties(self, node: Node) -> dict[str, str]:
        """Settings that put the data of that one broker onto this disk."""
        return {"log.dirs": str(self._root / "data")} if node.id == self._broker else {}

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    def fill(self) -> None:
        """Leave no room: whoever writes next is refused."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while ballast.write(_CHUNK):
                pass

    def free(self) -> None:
        """Take away what ``fill`` put there."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self._root / "ballast"

    def __enter__(self) -> Self:
        self._root = Path(tempfile.mkdtemp(prefix="streams-disk-"))
        try:
            _run("mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m", "tmpfs", str(self._root))
        except BaseException:
            self._root.rmdir()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Lazily: a broker that is ending may still have files open on it.
        _run("umount", "--lazy", str(self._root))
        self._root.rmdir()


def needs() -> str | None:
    """What keeps a disk from being mounted here, None if nothing does."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        with Disk(size_mb=1):
            return None
    except (OSError, subprocess.SubprocessError) as error:
        return f"needs the right to mount a tmpfs: {error}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_TIMEOUT_S)
