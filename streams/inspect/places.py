"""Places in a topic and spans of time as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from streams.errors import UsageError
from streams.ports import Admin, Bounds

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN = re.compile(r"(?:\d+(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+)(ms|[smhdw])")
_HINT = "start, end, -10m, @1234 for an offset, or a time such as 2026-01-31T12:00"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to begin in each partition; ``value`` is milliseconds since the epoch or an offset."""

    kind: Literal["start", "end", "time", "offset"]
    value: int = 0


def parse_place(text: str, now_micros: int) -> Place:
    """``start``, ``end``, ``-10m``, ``@OFFSET`` or a time; UsageError for anything else."""
    if text == "start":
        return Place("start")
    if text == "end":
        return Place("end")
    if text.startswith("@") and text[1:].isascii() and text[1:].isdigit():
        return Place("offset", int(text[1:]))
    try:
        if text.startswith("-"):
            return Place("time", now_micros // 1000 - span_ms(text[1:]))
        return Place("time", _time_ms(text))
    except ValueError:
        raise UsageError(f"'{text}' is no place in a topic", hint=_HINT) from None


def since_ms(text: str, now_micros: int) -> int:
    """The time that ``1h``, ``2d``, ``1h30m`` or a time stands for, in milliseconds.

    UsageError for anything else.
    """
    try:
        if _SPAN.fullmatch(text.lstrip("-")):
            return max(0, now_micros // 1000 - span_ms(text.lstrip("-")))
        return _time_ms(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is no span of time", hint="for example 30m, 1h, 2d, or 2026-01-31T12:00"
        ) from None


def span_ms(text: str) -> int:
    """The milliseconds of ``90s``, ``10m``, ``1h30m``, ``2d``, ``1w``; ValueError otherwise."""
    if not _SPAN.fullmatch(text):
        raise ValueError(text)
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))


def offsets_of(place: Place, admin: Admin, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The offset of a place in each partition, within what the log has."""
    wanted = list(partitions)
    if place.kind == "time":
        return admin.offsets_at(topic, wanted, max(0, place.value))
    return {p: _offset(place, bounds) for p, bounds in admin.bounds(topic, wanted).items()}


def duration(micros: int) -> str:
    """A span as people read it: ``340 µs``, ``12 ms``, ``1.2 s``, ``3 min``, ``2.5 h``, ``3 d``."""
    if micros < 1_000:
        return f"{max(0, micros)} µs"
    if micros < 1_000_000:
        return f"{micros // 1_000} ms"
    seconds = micros / 1e6
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 2 * 3_600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86_400:
        return f"{seconds / 3_600:.1f}".removesuffix(".0") + " h"
    return f"{seconds / 86_400:.1f}".removesuffix(".0") + " d"


def iso(micros: int) -> str:
    """A time in microseconds since the epoch as people and machines read it."""
    try:
        return (
            datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        )
    except (OverflowError, ValueError, OSError):
        return str(micros)


def _offset(place: Place, bounds: Bounds) -> int:
    if place.kind == "start":
        return bounds.start
    if place.kind == "end":
        return bounds.end
    return min(max(place.value, bounds.start), bounds.end)


def _time_ms(text: str) -> int:
    # Without a zone it is the time on the wall here, as ``date`` shows it.
    return round(datetime.fromisoformat(text).timestamp() * 1000)
