"""The newest records of a topic, and those that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streams.catalog import Catalog, read_from
from streams.inspect.places import Place, offsets_of
from streams.inspect.show import Decoder
from streams.ports import Clock, Log, Record

COUNT_DEFAULT = 10
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """What to show; without a ``place`` the newest ``count`` (default 10) of all partitions."""

    topic: str
    partitions: tuple[int, ...]
    count: int | None = None
    place: Place | None = None
    follow: bool = False


def records(log: Log, catalog: Catalog, clock: Clock, asked: Asked) -> Iterator[dict[str, Any]]:
    """Records as rows; with ``follow`` without end."""
    decoder = Decoder(catalog)
    bounds = log.admin().bounds(asked.topic, asked.partitions)
    ends = {p: b.end for p, b in bounds.items()}
    left = asked.count
    if asked.place is None:
        wanted = COUNT_DEFAULT if left is None else left
        yield from map(decoder.record, newest(log, clock, asked, wanted))
    else:
        starts = offsets_of(asked.place, log.admin(), asked.topic, asked.partitions)
        for record in read_from(log, asked.topic, starts, clock, ends):
            if left is not None and (left := left - 1) < 0:
                return
            yield decoder.record(record)
        ends = {p: max(end, starts[p]) for p, end in ends.items()}
    if asked.follow:
        yield from map(decoder.record, _follow(log, asked.topic, ends))


def newest(log: Log, clock: Clock, asked: Asked, count: int) -> list[Record]:
    """The last ``count`` records over all partitions, by the time the log took them."""
    bounds = log.admin().bounds(asked.topic, asked.partitions)
    ends = {p: b.end for p, b in bounds.items()}
    # Each transaction leaves a marker that takes an offset: look further back until enough
    # records are found.
    reach = 2 * count + 10
    while True:
        starts = {p: max(b.start, b.end - reach) for p, b in bounds.items()}
        found = list(read_from(log, asked.topic, starts, clock, ends)) if count else []
        whole = all(starts[p] == b.start for p, b in bounds.items())
        per_partition = dict.fromkeys(bounds, 0)
        for record in found:
            per_partition[record.partition()] += 1
        enough = all(n >= count or starts[p] == bounds[p].start for p, n in per_partition.items())
        if whole or enough:
            found.sort(key=lambda r: (r.timestamp()[1], r.partition(), r.offset()))
            return found[-count:] if count else []
        reach *= 4


def _follow(log: Log, topic: str, offsets: dict[int, int]) -> Iterator[Record]:
    reader = log.reader()
    try:
        reader.assign({(topic, p): offset for p, offset in offsets.items()})
        while True:
            yield from reader.consume(500, POLL_S).records
    finally:
        reader.close()
