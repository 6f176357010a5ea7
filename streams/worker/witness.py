"""What the results say of how far a partition is: a second opinion on its committed offset.

A coordinator may serve offsets that are not the last. Seen with Kafka 4.4.0: when a broker comes
back and leads ``__consumer_offsets`` first in its old epoch and then in a new one, the end of the
first loading counts as that of the second; until that has ended, what is not loaded yet does not
exist. Whoever believed it would run again what is finished. A result and the offset that finishes
its task are written by one transaction, so the newest result tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from streams.avro import decode
from streams.catalog import read_from
from streams.core.offsets import decode as decode_map
from streams.errors import DataLost, LogError, MapUnreadable, RecordUndecodable, StreamsError
from streams.ports import Clock, Committed, Log
from streams.records import Result

STALE_S = 60.0
"""How long a coordinator is given to load the offsets that the results prove."""
ASK_AGAIN_S = 1.0
TAIL = (32, 1_024, 32_768)
"""How many offsets before the end are looked at for a result, one after the other: there are the
markers of transactions, and what aborted ones wrote."""


class Witness:
    """The results of one pool, whose partitions are those of the tasks. Blocks."""

    def __init__(self, source: Log, clock: Clock, group: str, tasks: str, results: str) -> None:
        self._log = source
        self._clock = clock
        self._group = group
        self._tasks = tasks
        self._results = results

    def stale(self, committed: Mapping[int, Committed | None]) -> list[int]:
        """Partitions with a result that their committed maps do not know; LogError."""
        asked = [p for p, found in committed.items() if found is None or found.metadata]
        try:
            newest = self._newest(asked)
        except LogError as error:
            if error.kind == "UNKNOWN_TOPIC_OR_PART":
                return []  # no results, no evidence: whoever writes the next one finds out
            raise
        except StreamsError as error:
            # A broker that is silent for long: as for offsets, it is asked again.
            raise LogError("_TIMED_OUT", error.message, retriable=True) from error
        return sorted(p for p, offset in newest.items() if not _knows(committed[p], offset))

    def contradicts(self, partition: int, committed: Committed | None) -> DataLost:
        """The error of a partition whose committed offset stays stale."""
        group, where = self._group, f"{self._tasks}[{partition}]"
        at = "has no offset" if committed is None else f"is at offset {committed.offset}"
        seek = f"streams group seek {group.rpartition('.')[2]} --partition {partition} --to OFFSET"
        return DataLost(
            f"the group '{group}' {at} of {where}, and there are results of later tasks",
            hint=f"restart the broker that coordinates the group, then the worker; if the offset "
            f"is lost for good, set it: {seek} --execute",
        )

    def _newest(self, partitions: Iterable[int]) -> dict[int, int]:
        """The source offset of the newest result of each partition that has one."""
        found: dict[int, int] = {}
        left = list(partitions)
        for tail in TAIL:
            if not left:
                break
            bounds = self._log.admin().bounds(self._results, left)
            starts = {p: max(b.start, b.end - tail) for p, b in bounds.items()}
            for record in read_from(self._log, self._results, starts, self._clock):
                try:
                    result = cast("Result[bytes]", decode(record.value() or b"", Result))
                except RecordUndecodable:
                    continue
                if result.source_topic == self._tasks and result.source_partition in starts:
                    found[result.source_partition] = result.source_offset
            left = [p for p in left if p not in found and starts[p] > bounds[p].start]
        return found


def _knows(committed: Committed | None, offset: int) -> bool:
    """Whether the task at the offset is finished by this map, or what it says is no evidence."""
    if committed is None:
        return False
    try:
        left = decode_map(committed.offset, committed.metadata)
    except MapUnreadable:
        return True
    return left.sought or left.is_finished(offset)
