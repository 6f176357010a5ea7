"""How much of what a pool has fetched may be open at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from streams.ports import Record
from streams.worker.shared import Shared

log = logging.getLogger("streams.poll")

HELD_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of fetched records that are not committed, by their average size."""


class Room:
    """Decides when fetching waits and what is paused; for the consumer's thread alone.

    With hysteresis: a pause throws prefetched records away.
    """

    def __init__(self, topic: str, shared: Shared, held_max: int) -> None:
        self._topic = topic
        self._shared = shared
        self._held_max = held_max
        self._bytes_average = 1
        self._full = False
        self._all_paused = False

    def weigh(self, records: Sequence[Record]) -> None:
        """Note the size of what was fetched."""
        size = sum(len(record.value() or b"") for record in records) // len(records)
        self._bytes_average = max(1, size, (7 * self._bytes_average + size) // 8)

    def is_crowded(self) -> bool:
        """Whether too much is open to fetch more, apart from what is paused already."""
        shared = self._shared
        with shared.lock:
            held = shared.ledger.held
            possessions = shared.ledger.possessions
            crowded = {p for p, s in possessions.items() if s.progress.crowded}
            awaiting = {p for p, s in possessions.items() if s.first is not None and not s.foreign}
            first = bool(awaiting - shared.stopped.keys())
        held_max = min(self._held_max, HELD_BYTES_MAX // self._bytes_average)
        # What others wait for must come, whatever is open: only then can anything end.
        self._full = not first and (held >= held_max or (self._full and held > held_max // 2))
        return (self._full and not self._all_paused) or not crowded <= shared.paused

    def to_pause(self, *, draining: bool) -> frozenset[int]:
        """The partitions that should be paused now."""
        shared = self._shared
        with shared.lock:
            possessions = set(shared.ledger.possessions)
            crowded = {p for p, s in shared.ledger.possessions.items() if s.progress.crowded}
            roomy = {p for p, s in shared.ledger.possessions.items() if s.progress.roomy}
            foreign = {p for p, s in shared.ledger.possessions.items() if s.foreign}
        for partition in crowded - shared.paused:
            log.info("%s[%s] pauses: too many tasks are open", self._topic, partition)
        self._all_paused = draining or self._full
        if self._all_paused:
            return frozenset(possessions)
        paused = crowded | (shared.paused - roomy) & possessions
        # What is foreign does not count as open: nothing else would bound what is fetched of it.
        return frozenset(paused | (shared.stopped.keys() | foreign) & possessions)
