"""What a group has committed: as its coordinator says it, and as the coordinator's log does."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from streams.errors import LogError
from streams.kafka import config
from streams.kafka.batch import sort, take_ready, wait_first
from streams.kafka.errors import GROUP_DENIED, TOPIC_DENIED, log_error, raised
from streams.ports import Bounds, Committed, Record

OFFSETS_TOPIC = "__consumer_offsets"
COORDINATOR_TIMEOUT_S = 4.0
STABLE_TIMEOUT_S = 1.0
"""The client waits for the end of a transaction that holds an offset; this is enough to tell."""
RETRY_S = 0.02
COORDINATOR_MOVES = frozenset(
    {"COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"}
)
READ_MAX = 5_000
READ_S = 30.0
"""How long reading the log of a coordinator may take."""
WAIT_MS = 20
"""The end of the log is told when a fetch has waited there for so long."""


class GroupOffsets:
    """Committed offsets of groups, with an admin's settings. Any thread may call it.

    A coordinator is asked by consumers that never join: the admin client's own request hangs for
    good once a coordinator has been restarted, and may then end the process (librdkafka issue
    4605).
    """

    def __init__(self, settings: config.Config) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._readers: dict[tuple[str, bool], Consumer] = {}

    def committed(
        self, group: str, topic: str, partitions: Iterable[int], *, stable: bool
    ) -> dict[int, Committed | None]:
        """What the coordinator says; see ``Admin.committed``."""
        places = [TopicPartition(topic, p) for p in partitions]
        if not places:
            return {}
        # First without waiting for transactions: then the coordinator is there and answers.
        end = time.monotonic() + COORDINATOR_TIMEOUT_S
        while True:
            try:
                found = self._ask(group, places, False, COORDINATOR_TIMEOUT_S)
                break
            except LogError as error:
                if error.kind not in COORDINATOR_MOVES or time.monotonic() > end:
                    raise
                time.sleep(RETRY_S)
        if stable:
            try:
                found = self._ask(group, places, True, STABLE_TIMEOUT_S)
            except LogError as error:
                if error.kind != "_TIMED_OUT":
                    raise
                raise _unstable() from error
        return {
            place.partition: Committed(place.offset, place.metadata or "")
            if place.offset != OFFSET_INVALID
            else None
            for place in found
        }

    def in_log(
        self, group: str, topic: str, partitions: Iterable[int], place: int, bounds: Bounds
    ) -> dict[int, Committed | None]:
        """What partition ``place`` of OFFSETS_TOPIC says; see ``Admin.committed_in_log``."""
        found: dict[int, Committed | None] = dict.fromkeys(partitions)

        def take(record: Record) -> None:
            partition = _partition_of(record.key(), group, topic)
            if partition in found:
                found[partition] = _committed_of(record.value())

        def refuse(record: Record) -> None:
            if _partition_of(record.key(), group, topic) in found:
                raise _unstable()

        at = self._read(place, bounds, True, take)
        # Behind what is decided: of an open transaction, or held up by somebody else's.
        at = self._read(place, bounds._replace(start=at), False, refuse)
        if at < bounds.end:
            # A new leader that has yet to hear how far its log is decided.
            raise LogError("_TIMED_OUT", f"{OFFSETS_TOPIC} was not read to its end", retriable=True)
        return found

    def _ask(
        self, group: str, places: list[TopicPartition], stable: bool, timeout_s: float
    ) -> list[TopicPartition]:
        rights = {
            GROUP_DENIED: f"READ on group '{group}'",
            TOPIC_DENIED: f"DESCRIBE on topic '{places[0].topic}' (READ and WRITE include it)",
        }
        with self._lock:
            reader = self._readers.get((group, stable))
            if reader is None:
                settings = config.offsets_reader(self._settings, group, stable)
                reader = self._readers[group, stable] = config.make(Consumer, settings)
        try:
            found = reader.committed(places, timeout=timeout_s)
        except KafkaException as exception:
            raise raised(exception, rights=rights) from exception
        for place in found:
            if place.error is not None:
                raise log_error(place.error, place.topic, place.partition, rights)
        return found

    def _read(
        self, place: int, bounds: Bounds, stable: bool, take: Callable[[Record], None]
    ) -> int:
        """Give ``take`` the records within the bounds; returns how far it came.

        ``stable``: those of ended transactions, up to the first that has not ended. No further
        than the end that was: others go on writing.
        """
        settings = config.offsets_reader(self._settings, "streams-reader", stable)
        settings |= {"enable.partition.eof": True, "fetch.wait.max.ms": WAIT_MS}
        reader, at = config.make(Consumer, settings), bounds.start
        over = time.monotonic() + READ_S
        try:
            reader.assign([TopicPartition(OFFSETS_TOPIC, place, at)])
            while at < bounds.end:
                messages = wait_first(reader, 0.1)
                consumed = sort(messages + take_ready(reader, READ_MAX) if messages else [])
                for error in consumed.errors:
                    if error.kind == TOPIC_DENIED:
                        raise error
                for record in consumed.records:
                    at = record.offset() + 1
                    if at <= bounds.end:
                        take(record)
                for end in consumed.ended.values():
                    return max(at, end)
                if time.monotonic() > over:
                    detail = f"{OFFSETS_TOPIC} was read to {at} of {bounds.end} in {READ_S:g} s"
                    raise LogError("_TIMED_OUT", detail, retriable=True)
            return at
        except KafkaException as exception:
            raise raised(exception, OFFSETS_TOPIC, place) from exception
        finally:
            reader.close()


def place_of(group: str, partitions: int) -> int:
    """The partition of OFFSETS_TOPIC that holds a group: Java's hash of its name, without sign."""
    units = group.encode("utf-16-be")
    code = 0
    for (unit,) in struct.iter_unpack(">H", units):
        code = (31 * code + unit) & 0xFFFFFFFF
    number = code - (1 << 32) if code >> 31 else code
    return 0 if number == -(1 << 31) else abs(number) % partitions


def _unstable() -> LogError:
    message = "an open transaction holds an offset"
    return LogError("UNSTABLE_OFFSET_COMMIT", message, retriable=True)


def _partition_of(key: bytes | None, group: str, topic: str) -> int | None:
    """The partition whose offset a record sets; None if it is another group's or another record.

    A key is a version (0 and 1: an offset), a group, a topic and a partition, as of Kafka's
    schema OffsetCommitKey.
    """
    if key is None or key[:2] not in (b"\0\0", b"\0\1"):
        return None
    names = b"".join(len(n).to_bytes(2, "big") + n for n in (group.encode(), topic.encode()))
    if key[2:-4] != names:
        return None
    return int.from_bytes(key[-4:], "big")


def _committed_of(value: bytes | None) -> Committed | None:
    """An offset and its metadata (Kafka's schema OffsetCommitValue, versions 0 to 4).

    None for a record that deletes it. LogError for a version of which nothing is known.
    """
    if value is None:
        return None
    try:
        version, offset = struct.unpack_from(">hq", value)
        at = 14 if version >= 3 else 10  # from version 3 on a leader's epoch is between
        if version <= 3:
            (length,) = struct.unpack_from(">h", value, at)
            at += 2
        elif version == 4:
            length, at = _varint(value, at)
            length -= 1
        else:
            raise ValueError(f"version {version}")
        text = value[at : at + max(0, length)].decode()
    except (ValueError, IndexError, struct.error) as error:
        detail = f"an offset in {OFFSETS_TOPIC} cannot be read: {error}"
        raise LogError("UNSUPPORTED_VERSION", detail) from error
    # librdkafka sends the zero that ends its strings along.
    return Committed(offset, text.removesuffix("\0"))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
