"""How commands print: data on stdout as table, json or jsonl; everything said on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import click

from streams.cli.fields import field_lines
from streams.cli.table import Row, table_lines

FORMATS = ("table", "json", "jsonl")
FILE_WIDTH = 500
"""Cells of a line that is not on a terminal."""

F = TypeVar("F", bound=Callable[..., Any])

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
        found = list(rows)
        if found:
            for text in table_lines(found, columns or list(found[0]), _width()):
                click.echo(text)


def emit_one(row: Row, hidden: Collection[str] = ()) -> None:
    """Print one thing: an object in JSON, else a line for each of its fields but ``hidden``."""
    how = chosen()
    if how == "table":
        for text in field_lines({k: v for k, v in row.items() if k not in hidden}):
            click.echo(text)
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


def _width() -> int:
    """Cells of the terminal; a file has no width to fold to."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH
