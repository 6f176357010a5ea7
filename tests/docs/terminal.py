"""A terminal for the commands of a page, and the comparison of what they print."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

COLUMNS = 100
LINES = 50
END_S = 20.0
_LOOP = """while IFS= read -r -d '' command; do
  eval "$command" <&4; printf '\\n\\036%s\\n' $?
done"""
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-B])")


class Terminal:
    """One shell on a terminal; a context manager that leaves no process behind."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = env

    def __enter__(self) -> Self:
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        # Commands come through a pipe of their own: a program that reads the terminal must not
        # find the next one there.
        self._shell = subprocess.Popen(
            ["bash", "-c", f"exec 4<&1; {_LOOP}"],
            stdin=subprocess.PIPE,
            stdout=inside,
            stderr=inside,
            cwd=self._folder,
            env=dict(self._env),
            start_new_session=True,
        )
        os.close(inside)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._end_group()
        os.close(self._screen)

    def run(self, command: str, timeout_s: float) -> tuple[int, str]:
        """(exit code, what was printed); AssertionError if it does not end in time."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(command.encode() + b"\0")
        self._shell.stdin.flush()
        printed = b""
        end = time.monotonic() + timeout_s
        while (found := re.search(rb"\r\n\x1e(\d+)\r\n", printed)) is None:
            left = end - time.monotonic()
            assert left > 0, f"{command!r} does not end; it has printed:\n{_plain(printed)}"
            if select.select([self._screen], [], [], left)[0]:
                printed += self._read()
        return int(found[1]), _plain(printed[: found.start()])

    def _read(self) -> bytes:
        try:
            return os.read(self._screen, 65_536)
        except OSError:  # how a terminal says that nobody is on its other side
            raise AssertionError("the shell has ended") from None

    def _end_group(self) -> None:
        """End what a page started and left running, as closing a terminal does."""
        group, end = self._shell.pid, time.monotonic() + END_S
        number = signal.SIGTERM
        while True:
            self._shell.poll()
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                break
            if time.monotonic() > end:
                number = signal.SIGKILL
            elif number == signal.SIGTERM:
                number = 0  # asked once; from now on only whether anybody is left
            # Nobody tells when the last process of a group has ended.
            while select.select([self._screen], [], [], 0.05)[0] and self._drain():
                pass
        self._shell.wait()

    def _drain(self) -> bool:
        try:
            return bool(os.read(self._screen, 65_536))
        except OSError:
            time.sleep(0.05)
            return False


def _plain(printed: bytes) -> str:
    return _CONTROL.sub("", printed.decode(errors="replace")).replace("\r\n", "\n")


def fits(shown: str, printed: str) -> bool:
    """Whether what a page shows is what was printed, loosely.

    Numbers count as equal unless one is 0, ids and the width of columns do not count; ``...``
    stands for anything, on a line of its own for any lines.
    """
    pattern = ""
    for line in _loose(shown):
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            parts = re.split(r" ?\.\.\. ?", line)
            pattern += r"[^\n]*".join(map(re.escape, parts)) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _loose(printed))) is not None


def _loose(text: str) -> list[str]:
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{16,}\b", "ID", text)
    text = re.sub(
        r"\d(?:[\d,.:]*\d)?", lambda n: "0" if re.fullmatch(r"[0.:]+", n[0]) else "9", text
    )
    return [" ".join(line.split()) for line in text.strip().splitlines()]
