"""Rows and single things as people read them on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

FREE_TEXT = frozenset({"agents", "description", "detail", "error", "problem", "reason", "why"})
"""Columns that may be folded. No other is: an id over two lines cannot be copied."""
FOLDED_WIDTH_MIN = 20
GAP = 2

Row = Mapping[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_BLANK_END = re.compile(r" +((?:\x1b\[0m)?)$")


def table_lines(rows: Sequence[Row], columns: Sequence[str], width: int) -> Iterator[str]:
    """Rows under headings, of ``width`` cells, or as many as their fixed columns need."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold")
    needed = 0
    cells: list[list[str]] = []
    for column in columns:
        name, _, heading = column.partition("=")
        heading = heading or name.replace("_", " ")
        texts = [cell(row.get(name)) for row in rows]
        widest = max(cell_len(line) for text in [heading, *texts] for line in text.split("\n"))
        least = min(widest, FOLDED_WIDTH_MIN) if name in FREE_TEXT else widest
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(
            heading,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=name not in FREE_TEXT,
            min_width=least,
        )
        needed += least + GAP
        cells.append(texts)
    for texts in zip(*cells, strict=True):
        # Text, not str: user data may hold what rich takes for markup.
        table.add_row(*map(Text, texts))
    # What is wider than the terminal runs over its edge: rich would cut ids to make it fit.
    # (Without a height a terminal that calls itself dumb has 80 cells whatever is asked for.)
    console = Console(width=max(width + GAP, needed), height=len(rows))
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        yield _BLANK_END.sub(r"\1", line)


def cell(value: object) -> str:
    """A value in one cell."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _TIME.fullmatch(value):
        return _brief(value)
    if isinstance(value, dict) or (
        isinstance(value, list) and value and isinstance(value[0], dict)
    ):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, cast("Sequence[Any]", value)))
    return str(value)


def _brief(text: str) -> str:
    """A time on the clock here: of today without the date, else without the seconds."""
    moment = datetime.fromisoformat(text).astimezone()
    today = moment.date() == datetime.now(UTC).astimezone().date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M}"
