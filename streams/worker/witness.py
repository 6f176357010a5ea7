"""What the results say of how far a partition is: a second opinion on its committed offset.

A coordinator may serve offsets that are not the last. Seen with Kafka 4.4.0: when a broker comes
back and leads ``__consumer_offsets`` first in its old epoch and then in a new one, the end of the
first loading counts as that of the second; until that has ended, what is not loaded yet does not
exist, and some of it may stay away for good. Whoever believed it would run again what is finished.
A result and the offset that finishes its task are written by one transaction, so the newest result
tells. Then the coordinator's log is read instead.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import cast

from streams.avro import decode
from streams.catalog import read_from
from streams.core.offsets import decode as decode_map
from streams.errors import DataLost, LogError, MapUnreadable, RecordUndecodable, StreamsError
from streams.ports import Clock, Committed, Log
from streams.records import Result

log = logging.getLogger("streams.witness")

STALE_S = 60.0
"""How long the offsets that the results prove are looked for."""
ASK_AGAIN_S = 1.0
TAIL = (32, 1_024, 32_768)
"""How many offsets before the end are looked at for a result, one after the other: there are the
markers of transactions, and what aborted ones wrote."""

Offsets = Mapping[int, Committed | None]


class Doubt:
    """What was committed, asked again and again until it fits the results, or is given up."""

    def __init__(self, witness: Witness, clock: Clock) -> None:
        self._witness = witness
        self._clock = clock
        self._since: float | None = None
        """When the results first refuted what was said; not while no broker says anything."""

    def settle(self, said: Offsets) -> tuple[Offsets, list[int]]:
        """The offsets to go on from, and the partitions that are given up as stale.

        LogError ``STALE_OFFSETS`` while there is hope: for STALE_S.
        """
        now = self._clock.monotonic()
        given_up = self._since is not None and now - self._since >= STALE_S
        committed, stale = self._witness.corrected(said, at_once=given_up)
        if stale and not given_up:
            self._since = now if self._since is None else self._since
            message = f"there are newer results of {stale}"
            raise LogError("STALE_OFFSETS", message, retriable=True)
        return committed, stale


class Witness:
    """The results of one pool, whose partitions are those of the tasks. Blocks."""

    def __init__(self, source: Log, clock: Clock, group: str, tasks: str, results: str) -> None:
        self._log = source
        self._clock = clock
        self._group = group
        self._tasks = tasks
        self._results = results
        self._asked_at = -ASK_AGAIN_S
        self._said = ""

    def doubt(self) -> Doubt:
        """Begin to judge what the coordinator says of some partitions."""
        return Doubt(self, self._clock)

    def corrected(self, committed: Offsets, *, at_once: bool) -> tuple[Offsets, list[int]]:
        """What the group committed, and which partitions' results it still does not know.

        Offsets that a result refutes come from the coordinator's log instead, and with them all
        the others: a coordinator that lost one has lost what it loaded with it. The log is asked
        once a second, or ``at_once``. LogError.
        """
        stale = self.stale(committed)
        asked_before = self._clock.monotonic() - self._asked_at < ASK_AGAIN_S
        if not stale or (asked_before and not at_once):
            return committed, stale
        admin, group = self._log.admin(), self._group
        try:
            logged = admin.committed_in_log(group, self._tasks, list(committed))
            left = self.stale(logged)
        except LogError as error:
            # An open transaction too: the coordinator's answer was stable, so it is not waited
            # for by ending it. Whoever began it ends it, or its time-out does.
            self._say(f"{group} has old offsets of {stale}; the log of its coordinator: {error}")
            return committed, stale
        finally:
            self._asked_at = self._clock.monotonic()
        if len(left) >= len(stale):
            self._say(f"{group} has old offsets of {stale}, also in the log of its coordinator")
            return committed, stale
        log.warning("%s has old offsets of %s; its coordinator's log has newer ones", group, stale)
        return logged, left

    def _say(self, text: str) -> None:
        """Once, however often the same is found."""
        if text != self._said:
            self._said = text
            log.warning("%s", text)

    def stale(self, committed: Offsets) -> list[int]:
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
            hint="restart the broker that coordinates the group, or let the worker READ its log, "
            f"'__consumer_offsets'; if the offset is lost for good, set it: {seek} --execute",
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
