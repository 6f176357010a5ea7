"""Positions of a reading client and what it fetches from them."""

from __future__ import annotations

from collections.abc import Mapping

from streams.errors import LogError
from streams.ports import START, TopicPartition
from streams.testing.memory.storage import Partition, Storage, StoredRecord


class Fetcher:
    """Reads partitions from positions, read_committed; partitions take turns at being first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._positions: dict[TopicPartition, int | None] = {}
        self._ended: dict[TopicPartition, int] = {}

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        return frozenset(self._positions)

    def add(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        """Read these too; a partition without an offset is held but not read."""
        self._positions.update(offsets)

    def drop(self, partitions: frozenset[TopicPartition] | None = None) -> None:
        """Stop reading these, or all."""
        for partition in self._positions.keys() if partitions is None else partitions:
            self._ended.pop(partition, None)
        for partition in list(self._positions) if partitions is None else partitions:
            self._positions.pop(partition, None)

    def fetch(
        self, records_max: int, skip: frozenset[TopicPartition] = frozenset()
    ) -> tuple[list[StoredRecord], list[LogError], dict[TopicPartition, int]]:
        """Records, errors (each once; its partition is read no more), and ends reached."""
        records: list[StoredRecord] = []
        errors: list[LogError] = []
        ended: dict[TopicPartition, int] = {}
        for place, offset in list(self._positions.items()):
            if offset is None or place in skip or len(records) >= records_max:
                continue
            partition = self._readable(place, offset, errors)
            if partition is None:
                self._positions[place] = None
                continue
            offset = partition.start if offset == START else offset
            found, offset = partition.read(offset, records_max - len(records))
            records += found
            # The one just read goes last, so that a long backlog does not starve the others.
            del self._positions[place]
            self._positions[place] = offset
            if offset == partition.stable_end and (found or self._ended.get(place) != offset):
                self._ended[place] = ended[place] = offset
        return records, errors, ended

    def _readable(
        self, place: TopicPartition, offset: int, errors: list[LogError]
    ) -> Partition | None:
        topic, number = place
        try:
            partition = self._storage.partition(topic, number)
        except LogError as error:
            errors.append(error)
            return None
        if offset == START or partition.start <= offset <= partition.end:
            return partition
        errors.append(
            LogError(
                "_AUTO_OFFSET_RESET",
                f"{topic} [{number}]: no offset {offset}",
                topic=topic,
                partition=number,
            )
        )
        return None
