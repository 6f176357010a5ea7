"""The map in the commit metadata: what is written is read, and nothing else is."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.offsets import (
    INCOMPLETE_MAX,
    METADATA_MAX,
    OWNER_MAX,
    WINDOW_MAX,
    CompletionMap,
    decode,
)
from streams.errors import MapUnreadable
from streams.topics import Topics

OFFSETS = st.integers(0, 2**62)


@st.composite
def maps(draw: st.DrawFn) -> CompletionMap:
    offset = draw(OFFSETS)
    width = draw(st.one_of(st.integers(0, 300), st.integers(0, WINDOW_MAX)))
    holes = draw(st.sets(st.integers(0, width - 1), max_size=60)) if width else set()
    return CompletionMap(
        offset,
        offset + width,
        tuple(offset + hole for hole in sorted(holes)),
        draw(st.text("abz09.-", max_size=OWNER_MAX)),
        draw(st.integers(0, 2**40)),
        draw(st.booleans()),
        draw(st.integers(0, 1000)),
        draw(OFFSETS),
        draw(st.none() | st.tuples(OFFSETS, st.integers(1, 1000))),
    )


@given(maps())
def test_a_map_is_read_as_it_was_written(written: CompletionMap) -> None:
    text = written.encode()
    assert len(text) <= METADATA_MAX
    assert "\0" not in text
    assert decode(written.offset, text) == written


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_map_fits_the_metadata(seed: int) -> None:
    # The gaps that take the most bytes: as many three-byte varints as the window allows.
    gaps = [16_384] * 49 + [128] * (INCOMPLETE_MAX - 49)
    random.Random(seed).shuffle(gaps)
    offset, last = 2**62, 2**62
    incomplete: list[int] = []
    for gap in gaps:
        last += gap
        incomplete.append(last)
    assert last < offset + WINDOW_MAX
    largest = CompletionMap(
        offset,
        offset + WINDOW_MAX,
        tuple(incomplete),
        "o" * OWNER_MAX,
        2**40,
        True,
        1_000,
        2**62,
        (2**62, 1_000),
    )
    text = largest.encode()
    assert len(text) <= METADATA_MAX
    assert decode(offset, text) == largest


def test_no_transactional_id_is_longer_than_what_a_map_can_hold() -> None:
    longest = Topics("p" * 60).transactional_id("n" * 49, "s" * 49)
    assert len(longest) <= OWNER_MAX


@given(OFFSETS, st.text(max_size=80))
def test_arbitrary_text_is_unreadable(offset: int, text: str) -> None:
    with pytest.raises(MapUnreadable) as raised:
        decode(offset, text)
    assert "group seek" in raised.value.hint


@given(maps(), st.data())
def test_a_damaged_map_is_unreadable(written: CompletionMap, data: st.DataObject) -> None:
    text = written.encode()
    at = data.draw(st.integers(0, len(text) - 1))
    match data.draw(st.sampled_from(["change", "cut", "insert", "append"])):
        case "change":
            other = data.draw(st.characters(max_codepoint=0x17F).filter(lambda c: c != text[at]))
            damaged = text[:at] + other + text[at + 1 :]
        case "cut":
            damaged = text[:at]
        case "insert":
            damaged = text[:at] + data.draw(st.text("0aZ~!{", min_size=1, max_size=4)) + text[at:]
        case _:
            damaged = text + data.draw(st.text("0aZ~!{\0 ", min_size=1, max_size=6))
    if damaged == text:
        return
    with pytest.raises(MapUnreadable):
        decode(written.offset, damaged)


@given(OFFSETS, st.binary(max_size=60))
def test_a_crafted_body_is_never_read_as_more_than_its_bounds(offset: int, body: bytes) -> None:
    framed = zlib.crc32(body).to_bytes(4, "big") + body
    try:
        read = decode(offset, "1" + base64.b85encode(framed).decode())
    except MapUnreadable:
        return
    assert read.offset == offset
    assert offset <= read.high <= offset + WINDOW_MAX
    assert len(read.incomplete) <= INCOMPLETE_MAX
    assert list(read.incomplete) == sorted(set(read.incomplete))
    assert all(offset <= hole < read.high for hole in read.incomplete)


@pytest.mark.parametrize("version", ["0", "2", "", "x"])
def test_another_version_is_unreadable(version: str) -> None:
    text = CompletionMap(5, 9, (6,), "owner", 1).encode()
    with pytest.raises(MapUnreadable, match="version"):
        decode(5, version + text[1:])


@given(maps(), st.integers(-5, 400))
def test_an_offset_is_finished_or_still_to_run(left: CompletionMap, step: int) -> None:
    offset = left.offset + step
    waits = offset in left.incomplete or offset >= left.high
    assert left.is_finished(offset) != waits
