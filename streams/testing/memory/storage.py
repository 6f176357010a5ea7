"""Partitions in memory: records, transaction markers, log start and last stable offset."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.errors import LogError
from streams.ports import Bounds, Headers, TopicSpec

APPEND_TIME = 2
BATCH_OVERHEAD_BYTES = 70
"""About what Kafka adds to one record alone in its batch (header 61, record framing 7 or more)."""
MESSAGE_BYTES_DEFAULT = 1_048_588


class StoredRecord:
    """One offset of a partition; a marker, or a record that its transaction may take back."""

    __slots__ = (
        "_headers",
        "_key",
        "_offset",
        "_partition",
        "_timestamp_ms",
        "_topic",
        "_value",
        "visible",
    )

    def __init__(
        self,
        place: tuple[str, int, int],
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        *,
        visible: bool = True,
    ) -> None:
        self._topic, self._partition, self._offset = place
        self._key = key
        self._value = value
        self._headers = list(headers) if headers else None
        self._timestamp_ms = timestamp_ms
        self.visible = visible

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Headers | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return APPEND_TIME, self._timestamp_ms


class Partition:
    """An append-only sequence of offsets with a deletable prefix."""

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.start = 0
        self.open_since: dict[int, int] = {}
        """First offset of each open transaction here, by producer id."""
        self._undecided: dict[int, list[StoredRecord]] = {}
        self._records: list[StoredRecord] = []
        self._deleted: list[StoredRecord] = []

    @property
    def end(self) -> int:
        """The high watermark: the offset the next record gets."""
        return self.start + len(self._records)

    @property
    def stable_end(self) -> int:
        """The last stable offset: nothing at or above it is read under read_committed."""
        return min(self.open_since.values(), default=self.end)

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.start, self.end)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        producer_id: int | None = None,
    ) -> StoredRecord:
        """Append a record, under an open transaction if a producer id is given."""
        place = (self.topic, self.number, self.end)
        record = StoredRecord(place, key, value, headers, timestamp_ms)
        if producer_id is not None:
            self.open_since.setdefault(producer_id, record.offset())
            self._undecided.setdefault(producer_id, []).append(record)
            record.visible = False
        self._records.append(record)
        return record

    def end_transaction(self, producer_id: int, timestamp_ms: int, *, commit: bool) -> None:
        """Append the marker that ends a producer's transaction here; it takes an offset.

        It ends all that the producer has open here, whichever transaction wrote it.
        """
        for record in self._undecided.pop(producer_id, ()):
            record.visible = commit
        place = (self.topic, self.number, self.end)
        self._records.append(StoredRecord(place, None, None, None, timestamp_ms, visible=False))
        self.open_since.pop(producer_id, None)

    def read(self, offset: int, records_max: int) -> tuple[list[StoredRecord], int]:
        """Committed records from an offset on, and the offset to go on from."""
        found: list[StoredRecord] = []
        stable = self.stable_end
        while offset < stable and len(found) < records_max:
            record = self._records[offset - self.start]
            if record.visible:
                found.append(record)
            offset += 1
        # Markers and aborted records right behind belong to what was read: the end is the end.
        while offset < stable and not self._records[offset - self.start].visible:
            offset += 1
        return found, offset

    def offset_at(self, timestamp_ms: int) -> int:
        """First offset appended at or after a time, the end if there is none."""
        for record in self._records:
            if record.timestamp()[1] >= timestamp_ms:
                return record.offset()
        return self.end

    def delete_before(self, offset: int) -> None:
        """Move the log start, as retention does."""
        offset = min(offset, self.end)
        if offset > self.start:
            self._deleted += self._records[: offset - self.start]
            del self._records[: offset - self.start]
            self.start = offset

    def undelete(self) -> None:
        """Take back every move of the log start."""
        self._records = self._deleted + self._records
        self._deleted = []
        self.start = 0


@dataclass
class Topic:
    """A topic with its partitions and configuration."""

    spec: TopicSpec
    partitions: list[Partition] = field(init=False)

    def __post_init__(self) -> None:
        self.partitions = [Partition(self.spec.name, n) for n in range(self.spec.partitions)]

    @property
    def message_bytes_max(self) -> int:
        return int(self.spec.config.get("max.message.bytes", MESSAGE_BYTES_DEFAULT))


class Storage:
    """All topics."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}

    def create(self, spec: TopicSpec) -> None:
        """Add a topic; ``TOPIC_ALREADY_EXISTS`` if there is one."""
        if spec.name in self.topics:
            raise LogError("TOPIC_ALREADY_EXISTS", spec.name, topic=spec.name)
        if spec.partitions < 1:
            raise LogError("INVALID_PARTITIONS", spec.name, topic=spec.name)
        self.topics[spec.name] = Topic(spec)

    def partition(self, topic: str, number: int) -> Partition:
        """A partition to read; ``UNKNOWN_TOPIC_OR_PART`` if there is none."""
        known = self.topics.get(topic)
        if known is None or not 0 <= number < len(known.partitions):
            raise LogError(
                "UNKNOWN_TOPIC_OR_PART", f"{topic} [{number}]", topic=topic, partition=number
            )
        return known.partitions[number]

    def partition_for(
        self,
        topic: str,
        number: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
    ) -> Partition:
        """The partition that takes this record; an abortable LogError if none does."""
        known = self.topics.get(topic)
        if known is None:
            raise _refused("_UNKNOWN_TOPIC", topic, number)
        if not 0 <= number < len(known.partitions):
            raise _refused("_UNKNOWN_PARTITION", topic, number)
        size = BATCH_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
        size += sum(len(name) + len(text) for name, text in headers or ())
        if size > known.message_bytes_max:
            raise _refused("MSG_SIZE_TOO_LARGE", topic, number)
        return known.partitions[number]


def _refused(kind: str, topic: str, partition: int) -> LogError:
    return LogError(
        kind, f"{topic} [{partition}]", abortable=True, topic=topic, partition=partition
    )
