"""One thing as people read it on a terminal: a line for each field, and below it what it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import click

from streams.cli.table import Row, cell

LINE_WIDTH_MAX = 78
"""An entry of a list stands on one line if it is not longer, else it is a block of lines."""
INDENT = "  "
OF_USERS = frozenset({"input", "input_schema", "original", "output", "output_schema"})
"""Fields that hold what users wrote: shown as it is, whatever it looks like."""

_UNIT = re.compile(r"_(bytes|micros|ms|permille)(?=_|$)")
_MONEY = "cost_micros"


def field_lines(fields: Row, *, as_is: bool = False) -> Iterator[str]:
    """The lines of a thing; with ``as_is`` its names and values are not made readable."""
    shown = [_field(name, value, as_is) for name, value in fields.items()]
    width = max((len(heading) for heading, _, _ in shown), default=0)
    for heading, text, below in shown:
        gap = " " * (width - len(heading))
        yield f"{click.style(heading, bold=True)}{gap}  {text}".rstrip()
        yield from (f"{INDENT}{line}" for line in below)


def _field(name: str, value: object, as_is: bool) -> tuple[str, str, list[str]]:
    """The heading, what stands beside it, and the lines below."""
    heading = name if as_is else name.replace("_", " ")
    below_as_is = as_is or name in OF_USERS
    inner, entries = _row(value), _list(value)
    if inner:
        if name == "error" and not as_is:
            return heading, *_error(inner)
        return heading, "", list(field_lines(inner, as_is=below_as_is))
    if any(isinstance(each, dict | list) for each in entries):
        return heading, "", list(_entries(entries, below_as_is))
    unit = None if as_is else _UNIT.search(name)
    if unit is not None and (value is None or _is_amount(value)):
        heading = _UNIT.sub("", name).replace("_", " ")
        value = _counted(value, "" if name == _MONEY else unit[1])
    elif isinstance(value, float) and not as_is:
        value = round(value, 3)
    text = _as_written(value) if as_is else cell(value)
    lines = text.splitlines()
    return (heading, "", lines) if len(lines) > 1 else (heading, text, [])


def _entries(entries: list[Any], as_is: bool) -> Iterator[str]:
    """The entries of a list: each on one line if all are short and hold nothing, else blocks."""
    lines = [_on_one_line(each, as_is) for each in entries]
    for each, line in zip(entries, lines, strict=True):
        if None not in lines or not _row(each):
            yield line or ""
            continue
        for number, text in enumerate(field_lines(_row(each), as_is=as_is)):
            yield f"{INDENT if number else '- '}{text}"


def _on_one_line(value: object, as_is: bool) -> str | None:
    """An entry as one line; None if it needs several."""
    if not _row(value):
        return _as_written(value)
    shown = [_field(name, each, as_is) for name, each in _row(value).items()]
    line = INDENT.join(f"{heading} {text}" for heading, text, _ in shown)
    fits = len(line) <= LINE_WIDTH_MAX and not any(below for _, _, below in shown)
    return line if fits else None


def _error(error: Row) -> tuple[str, list[str]]:
    """What happened, as a command that waits says it, and below where in the user's code."""
    said, *more = f"{error.get('type')}: {error.get('message')}".splitlines()
    frames = [str(frame) for frame in _list(error.get("frames"))]
    hint = [f"hint: {error['hint']}"] if error.get("hint") else []
    return said, [*more, *frames, *hint]


def _row(value: object) -> Row:
    return cast("Row", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _is_amount(value: object) -> bool:
    return all(type(each) is int and each >= 0 for each in _list(value) or [value])


def _counted(value: object, unit: str) -> object:
    """Each amount in a value with its unit."""
    if value is None:
        return None
    texts = [_amount(each, unit) for each in _list(value) or [value]]
    return ", ".join(texts)


def _amount(value: Any, unit: str) -> str:
    """A number with the unit in which people count it; money, which has none, in whole ones."""
    from streams.inspect.places import duration

    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    if unit == "permille":
        return f"{value / 10:.1f} %"
    if unit:
        return duration(value * 1_000 if unit == "ms" else value)
    return f"{value / 1e6:.6f}"


def _as_written(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
