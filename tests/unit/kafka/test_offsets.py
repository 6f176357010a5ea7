"""Reading a coordinator's own records, against Kafka's schemas and Java's hash."""

from __future__ import annotations

import pytest

from streams.errors import LogError
from streams.kafka.offsets import _committed_of, _partition_of, place_of  # pyright: ignore
from streams.ports import Committed


@pytest.mark.parametrize(
    ("group", "code"),
    [
        # String.hashCode as its documentation defines it: s[0]*31^(n-1) + … + s[n-1], 32 bits.
        ("", 0),
        ("a", 97),
        ("ab", 31 * 97 + 98),
        ("hello", 99_162_322),
        ("polygenelubricants", -(1 << 31)),
        ("\U0001f600", 31 * 0xD83D + 0xDE00),
    ],
)
def test_a_groups_partition_is_that_of_javas_hash(group: str, code: int) -> None:
    assert place_of(group, 50) == (0 if code == -(1 << 31) else abs(code) % 50)


KEY = b"\0\1" + b"\0\4pool" + b"\0\5tasks" + b"\0\0\0\7"


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        (KEY, 7),
        (b"\0\0" + KEY[2:], 7),
        (b"\0\2" + KEY[2:], None),
        (b"\0\1" + b"\0\5pools" + KEY[8:], None),
        (KEY[:8] + b"\0\5other" + b"\0\0\0\7", None),
        (b"\0\2\0\4pool", None),
        (b"\0\1", None),
        (b"", None),
        (None, None),
    ],
)
def test_only_the_offsets_of_the_group_and_topic_are_meant(
    key: bytes | None, partition: int | None
) -> None:
    assert _partition_of(key, "pool", "tasks") == partition


OFFSET = (300).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("value", "committed"),
    [
        (b"\0\0" + OFFSET + b"\0\3map" + bytes(8), Committed(300, "map")),
        (b"\0\1" + OFFSET + b"\0\3map" + bytes(16), Committed(300, "map")),
        (b"\0\2" + OFFSET + b"\0\3map" + bytes(8), Committed(300, "map")),
        (b"\0\3" + OFFSET + b"\xff" * 4 + b"\0\0" + bytes(8), Committed(300, "")),
        (b"\0\4" + OFFSET + b"\xff" * 4 + b"\x04map" + bytes(8) + b"\0", Committed(300, "map")),
        (
            b"\0\4" + OFFSET + b"\xff" * 4 + b"\x81\2" + b"m" * 256 + bytes(9),
            Committed(300, "m" * 256),
        ),
        (None, None),
    ],
)
def test_each_version_of_an_offset_is_read(value: bytes | None, committed: Committed) -> None:
    assert _committed_of(value) == committed


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0\5" + OFFSET,
        b"\0\3" + OFFSET,
        b"\0\4" + OFFSET + b"\xff" * 4 + b"\xff",
        b"\0\4" + OFFSET + b"\xff" * 4 + b"\x02\xff" + bytes(9),
    ],
)
def test_what_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        _committed_of(value)
