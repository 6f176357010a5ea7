"""How commands print: data on stdout as table, json or jsonl; everything said on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import click

FORMATS = ("table", "json", "jsonl")
FILE_WIDTH = 500
"""Columns of a table that is not on a terminal."""

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]

_META = "streams.output"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def output(command: F) -> F:
    """Give a command the option ``-o``; what it prints by ``emit`` follows it."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        ctx.meta[_META] = value

    option = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=remember,
        help="How to print; a table on a terminal, else jsonl.",
    )
    return option(command)


def chosen() -> str:
    """The format in effect."""
    given = click.get_current_context().meta.get(_META)
    return given or ("table" if sys.stdout.isatty() else "jsonl")


def emit(rows: Iterable[Row], columns: Sequence[str] = ()) -> None:
    """Print rows on stdout; jsonl as they come, the other forms at the end.

    A table shows ``columns`` (all of the first row, if none are named; ``name=heading`` heads one
    differently) and times briefly; JSON holds whole rows.
    """
    how = chosen()
    if how == "jsonl":
        for row in rows:
            click.echo(_json(row))
    elif how == "json":
        click.echo(_json(list(rows), indent=2))
    else:
        _table(list(rows), columns)


def emit_one(row: Row) -> None:
    """Print one thing: an object in JSON, else a line for each of its fields."""
    how = chosen()
    if how == "table":
        width = max(map(len, row), default=0)
        for name, value in row.items():
            text = (
                _json(cast("object", value))
                if isinstance(value, dict | list | bool)
                else _cell(value)
            )
            click.echo(f"{click.style(name.replace('_', ' ').ljust(width), bold=True)}  {text}")
    else:
        click.echo(_json(row, indent=2 if how == "json" else None))


def emit_lines(rows: Iterable[Row], text: Callable[[Row], str]) -> None:
    """As ``emit``, but a table is a line of ``text`` for each row, as they come."""
    if chosen() != "table":
        emit(rows)
        return
    for row in rows:
        click.echo(text(row))


def say(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    click.echo(text, err=True)


def line(value: object) -> str:
    """A value as JSON on one line."""
    return _json(value)


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, default=str, indent=indent)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    names: list[str] = []
    for column in columns or list(rows[0]):
        name, _, heading = column.partition("=")
        names.append(name)
        numeric = all(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(
            heading or name.replace("_", " "),
            justify="right" if numeric else "left",
            overflow="fold",
        )
    for row in rows:
        # Text, not str: user data may hold what rich takes for markup.
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    # A file has no width to fold to.
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)


def _brief(text: str) -> str:
    """A time on the clock here: of today without the date, else without the seconds."""
    moment = datetime.fromisoformat(text).astimezone()
    today = moment.date() == datetime.now(UTC).astimezone().date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M}"


def _cell(value: object) -> str:
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, str) and _TIME.fullmatch(value):
        return _brief(value)
    if isinstance(value, dict) or (
        isinstance(value, list) and value and isinstance(value[0], dict)
    ):
        return _json(cast("object", value))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, cast("Sequence[object]", value)))
    return str(value)
