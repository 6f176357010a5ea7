"""How the demo tells what happens while it does: a bar on a terminal, else plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

LINE_EVERY_S = 1.0


class Screen:
    """Talks on stderr, with the seconds since it was made; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._bar = Progress(
            TextColumn("       "),
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0, visible=False)
        self._began = self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._bar.stop()

    def begin(self, text: str) -> None:
        """What is waited for now."""
        self._bar.update(self._task, description=text, total=None, visible=True)

    def update(self, share: float, text: str) -> None:
        """How much is done, 0 to 1; a line a second at most where there is no bar."""
        if self._live:
            self._bar.update(self._task, completed=share, total=1.0, description=text, visible=True)
        elif time.monotonic() - self._said_at >= LINE_EVERY_S:
            self._said_at = time.monotonic()
            self._print("·", text, "")

    def good(self, text: str) -> None:
        """Something is reached."""
        self._print("✓", text, "green")

    def bad(self, text: str) -> None:
        """Something broke."""
        self._print("✗", text, "bold red")

    def _print(self, sign: str, text: str, style: str) -> None:
        # Text, not str: names of files may hold what rich takes for markup.
        line = Text.assemble((f"{time.monotonic() - self._began:5.1f} s ", "dim"), (sign, style))
        self._console.print(line.append(f" {text}"), soft_wrap=True)
