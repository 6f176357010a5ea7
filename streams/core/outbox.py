"""The outbox: all that one finished task causes, committed together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.ports import Headers


class Outgoing(NamedTuple):
    """A record to produce."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers | None = None


@dataclass(slots=True, eq=False)
class Outbox:
    """The records of the task at one source offset, tagged with where it started."""

    partition: int
    epoch: int
    offset: int
    records: Sequence[Outgoing]
    work: object
    """The task's own state, to build a failed result from if a record is refused."""
    answers: bool = True
    """A result is among the records; not for bytes that are no task."""
