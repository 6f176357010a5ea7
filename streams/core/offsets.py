"""The completion map: which offsets of a partition are finished ahead of the committed one.

Kafka stores one offset per group and partition. Tasks finish in any order, so the commit's
metadata lists the *incomplete* offsets between the committed offset and the highest finished
one. A new owner runs exactly those, then goes on at ``high``.

Encoding: ``1`` (version), then base85 of: CRC-32 of the rest (4 bytes, big endian), then
varints and the owner's id. A map that cannot be read raises; it is never taken as empty,
because that would run every finished task again or lose the unfinished ones.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from streams.errors import MapUnreadable

INCOMPLETE_MAX = 1_500
"""Incomplete offsets per partition: 1,500 over the window below fit METADATA_MAX."""
WINDOW_MAX = 1_000_000
"""Offsets between the committed one and the newest fetched one."""
METADATA_MAX = 4_095
"""Characters a broker accepts (``offset.metadata.max.bytes`` 4,096, less the client's NUL)."""
OWNER_MAX = 165
"""Characters of a transactional id: prefix 60, names 49 each; more could break METADATA_MAX."""

_VERSION = "1"
_RELEASED = 1
_RUNNING = 2
_SOUGHT = 4


@dataclass(frozen=True, slots=True)
class CompletionMap:
    """What the metadata of a committed offset says; ``offset`` is the committed offset itself."""

    offset: int
    high: int
    """Every offset from here on has not been finished (it may have been fetched)."""
    incomplete: tuple[int, ...] = ()
    """Offsets in [offset, high) that are not finished, ascending."""
    owner: str = ""
    """Transactional id of the writer."""
    epoch: int = 0
    """Counts the possessions of this partition by anyone."""
    released: bool = False
    """The owner gave the partition up; without it the owner died."""
    deaths: int = 0
    """Owners that died in a row while some offset below ``suspects_below`` was incomplete."""
    suspects_below: int = 0
    running: tuple[int, int] | None = None
    """In quarantine: the offset that runs alone, and how often it did so, this time included.
    Or the last offset of a group of suspects that run together, and 0."""
    sought: bool = False
    """The offset was set by hand, and no task was answered since: results may be beyond it."""

    def is_finished(self, offset: int) -> bool:
        """Whether the task at this offset has its terminal record."""
        return offset < self.offset or (offset < self.high and offset not in self.incomplete)

    def encode(self) -> str:
        """The metadata string, ≤ METADATA_MAX characters within the bounds above."""
        out = bytearray()
        flags = (
            (_RELEASED if self.released else 0)
            | (_RUNNING if self.running else 0)
            | (_SOUGHT if self.sought else 0)
        )
        owner = self.owner.encode()
        numbers = [flags, self.epoch, self.deaths, self.suspects_below, self.high - self.offset]
        if self.running is not None:
            numbers += self.running
        _put(out, [*numbers, len(owner)])
        out += owner
        last = self.offset
        gaps: list[int] = [len(self.incomplete)]
        for offset in self.incomplete:
            gaps.append(offset - last)
            last = offset
        _put(out, gaps)
        body = zlib.crc32(out).to_bytes(4, "big") + out
        text = _VERSION + base64.b85encode(body).decode()
        assert len(text) <= METADATA_MAX, f"a map of {len(text)} characters: bounds not kept"
        return text


def decode(offset: int, text: str) -> CompletionMap:
    """Read the metadata committed with ``offset``; MapUnreadable if anything is wrong."""
    try:
        if text[:1] != _VERSION:
            raise ValueError(f"unknown version {text[:1]!r}")
        body = base64.b85decode(text[1:])
        if base64.b85encode(body).decode() != text[1:]:
            raise ValueError("characters are left over")
        if zlib.crc32(body[4:]) != int.from_bytes(body[:4], "big"):
            raise ValueError("checksum differs")
        return _decode(offset, memoryview(body)[4:])
    except (ValueError, IndexError) as error:
        raise MapUnreadable(
            f"the commit metadata at offset {offset} cannot be read: {error}",
            hint="another client has committed to this group, or a newer version of this package; "
            "stop the group and set its offsets with `streams group seek`",
        ) from error


def _decode(offset: int, data: memoryview) -> CompletionMap:
    cursor = _Cursor(data)
    flags, epoch, deaths, below, width = (cursor.number() for _ in range(5))
    running = (cursor.number(), cursor.number()) if flags & _RUNNING else None
    owner = cursor.text(cursor.number())
    count = cursor.number()
    if count > INCOMPLETE_MAX or width > WINDOW_MAX:
        raise ValueError(f"{count} incomplete offsets over {width}: out of bounds")
    incomplete: list[int] = []
    last = offset
    for i in range(count):
        gap = cursor.number()
        last += gap
        if (gap == 0 and i > 0) or last >= offset + width:
            raise ValueError("offsets are not ascending below the high one")
        incomplete.append(last)
    cursor.end()
    return CompletionMap(
        offset,
        offset + width,
        tuple(incomplete),
        owner,
        epoch,
        bool(flags & _RELEASED),
        deaths,
        below,
        running,
        bool(flags & _SOUGHT),
    )


def _put(out: bytearray, numbers: Iterable[int]) -> None:
    for number in numbers:
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)


class _Cursor:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def text(self, length: int) -> str:
        end = self._at + length
        if end > len(self._data):
            raise ValueError("cut off")
        self._at, start = end, self._at
        return bytes(self._data[start:end]).decode()

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("bytes are left over")


class Progress:
    """The live counterpart of a map: which fetched offsets are not finished *and committed*.

    ``incomplete`` is in ascending order because offsets arrive so; nothing but ``settle``
    removes from it, so an aborted transaction needs no undoing.
    """

    __slots__ = ("high", "incomplete", "next", "position", "unfetched")

    def __init__(self, start: CompletionMap) -> None:
        self.incomplete: dict[int, None] = dict.fromkeys(start.incomplete)
        self.position = start.offset
        """One above the last delivered offset: each is delivered once."""
        self.unfetched = len(start.incomplete)
        """Known incomplete offsets that are still to be delivered."""
        self.next = start.high
        """The offset that is fetched next, apart from the known incomplete ones."""
        self.high = start.high
        """One above the highest offset whose end is committed."""

    @property
    def base(self) -> int:
        """The offset to commit: everything below is finished."""
        return next(iter(self.incomplete), self.next)

    @property
    def crowded(self) -> bool:
        """Whether fetching must pause: one more batch could break a bound.

        Not before the known incomplete offsets are delivered: a pause would keep them away.
        """
        return self.position >= self.next and (
            len(self.incomplete) >= INCOMPLETE_MAX - FETCH_MAX
            or self.next - self.base >= WINDOW_MAX - FETCH_MAX
        )

    @property
    def roomy(self) -> bool:
        """Whether fetching may go on after a pause (half of the bound, so it does not flap)."""
        return self.position < self.next or (
            len(self.incomplete) <= INCOMPLETE_MAX // 3 and self.next - self.base < WINDOW_MAX // 2
        )

    def fetched(self, offset: int) -> bool:
        """Note a delivered offset; False if it is finished or was delivered: it must not run."""
        if offset < self.position:
            return False
        self.position = offset + 1
        if offset >= self.next:
            # A gap at or above the log's start is compaction, an aborted record or a
            # transaction marker: nothing to do there.
            self.incomplete[offset] = None
            self.next = offset + 1
            return True
        if offset not in self.incomplete:
            return False
        self.unfetched -= 1
        return True

    def ended(self, offset: int) -> None:
        """Note the partition's end: all that can be read below ``offset`` was delivered.

        What is left below it are transaction markers and aborted records. A commit that stopped
        before them would point below the start of the log once retention has removed them.
        """
        self.position = max(self.position, offset)
        self.next = max(self.next, offset)

    @property
    def limit(self) -> int | None:
        """Offsets from here on must not be finished yet, else the map breaks a bound.

        Rarely anything: fetching pauses before. But one batch may still come while known
        offsets are delivered again, and offsets may jump over a large aborted transaction.
        """
        if len(self.incomplete) <= INCOMPLETE_MAX and self.next - self.base <= WINDOW_MAX:
            return None
        limit = self.base + WINDOW_MAX
        if len(self.incomplete) > INCOMPLETE_MAX:
            limit = min(limit, next(islice(self.incomplete, INCOMPLETE_MAX, None)))
        return limit

    def after(self, finished: set[int], reach: int = 0) -> tuple[int, int, tuple[int, ...]]:
        """(offset, high, incomplete) as they will be once ``finished`` is committed.

        Only holes below the highest finished offset are listed: what is above is simply
        fetched again. They are listed up to ``reach`` as well, if the bounds allow it: what is
        listed is delivered to the next owner before it may pause.
        """
        high = max(self.high, max(finished) + 1) if finished else self.high
        limit = self.limit
        if reach <= self.next and (limit is None or reach <= limit):
            high = max(high, reach)
        base = -1
        holes: list[int] = []
        for offset in self.incomplete:
            if offset in finished:
                continue
            if base < 0:
                base = offset
            if offset >= high:
                break
            holes.append(offset)
        if base < 0:
            return self.next, max(high, self.next), ()
        return base, max(base, high), tuple(holes)

    def settle(self, finished: set[int]) -> None:
        """``finished`` is committed."""
        for offset in finished:
            self.incomplete.pop(offset, None)
        if finished:
            self.high = max(self.high, max(finished) + 1)


FETCH_MAX = 500
"""Records of one fetch: what a bound must still have room for when it is checked."""
