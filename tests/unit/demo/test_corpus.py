"""Documents become pieces that a task can handle, and nothing of them is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.demo.corpus import (
    PIECE_CHARACTERS_MAX,
    pieces_of,
    read_files,
    reference_topics,
    split,
)
from streams.errors import InputInvalid


def words(text: str) -> str:
    return "".join(text.split())


@given(st.text(alphabet="ab \n\t", max_size=300), st.integers(1, 40))
def test_pieces_are_short_and_hold_all_of_the_text(text: str, characters_max: int) -> None:
    pieces = split(text, characters_max)
    assert all(0 < len(piece) <= characters_max for piece in pieces)
    assert words("".join(pieces)) == words(text)


def test_paragraphs_stay_whole_and_together_while_they_fit() -> None:
    assert split("one\n\n  two\n\n\nthree", 10) == ["one\n\n  two", "three"]


def test_a_long_paragraph_is_cut_at_lines_and_a_long_line_where_it_must_be() -> None:
    assert split("first line\nsecond line\nthird", 18) == ["first line", "second line\nthird"]
    assert split("abcdefgh", 3) == ["abc", "def", "gh"]


def test_the_reference_topics_of_this_python_are_a_corpus() -> None:
    topics = reference_topics()
    pieces = pieces_of(topics)
    assert len(topics) > 70
    assert {piece.topic for piece in pieces} == set(topics)
    assert max(len(piece.text) for piece in pieces) <= PIECE_CHARACTERS_MAX
    for topic in ("lambda", "typesseq"):
        parts = [piece for piece in pieces if piece.topic == topic]
        assert [piece.part for piece in parts] == list(range(1, len(parts) + 1))
        assert words("".join(piece.text for piece in parts)) == words(topics[topic])


def test_files_are_read_and_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("héllo")
    (tmp_path / "bad.bin").write_bytes(b"\xff\xfe\x00")
    assert read_files([tmp_path / "good.md"]) == {str(tmp_path / "good.md"): "héllo"}
    with pytest.raises(InputInvalid, match=r"bad\.bin cannot be read as text"):
        read_files([tmp_path / "bad.bin"])


def test_documents_without_any_text_are_refused() -> None:
    with pytest.raises(InputInvalid, match="hold no text"):
        pieces_of({"empty": " \n\n "})
