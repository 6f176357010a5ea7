"""How commands print: data on stdout as table, json or jsonl; everything said on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import click

FORMATS = ("table", "json", "jsonl")

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]

_META = "streams.output"


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

    A table shows ``columns`` (all of the first row, if none are named); JSON holds whole rows.
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
    if chosen() == "table":
        fields = [{"field": name.replace("_", " "), "value": value} for name, value in row.items()]
        _table(fields, ("field", "value"))
    else:
        emit([row]) if chosen() == "jsonl" else click.echo(_json(row, indent=2))


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

    names = list(columns or rows[0])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        numeric = all(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(
            name.replace("_", " "), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        # Text, not str: user data may hold what rich takes for markup.
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    Console().print(table)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, dict) or (
        isinstance(value, list) and value and isinstance(value[0], dict)
    ):
        return _json(cast("object", value))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, cast("Sequence[object]", value)))
    return str(value)
