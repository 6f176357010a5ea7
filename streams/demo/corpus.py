"""Documents, and their split into pieces of a size that one task handles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.errors import InputInvalid

PIECE_CHARACTERS_MAX = 2_000

_PARAGRAPH_END = re.compile(r"\n(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class Piece:
    """The ``part``-th piece of a document, from 1."""

    topic: str
    part: int
    text: str


def reference_topics() -> Mapping[str, str]:
    """The reference documentation that comes with CPython, text by topic."""
    # Imported here: half a megabyte that only the demo reads.
    from pydoc_data.topics import topics

    return topics


def read_files(paths: Sequence[Path]) -> dict[str, str]:
    """The user's own documents, text by path; InputInvalid for one that is no UTF-8 text."""
    texts: dict[str, str] = {}
    for path in paths:
        try:
            texts[str(path)] = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputInvalid(
                f"{path} cannot be read as text: {error}", hint="give files of UTF-8 text"
            ) from None
    return texts


def pieces_of(documents: Mapping[str, str]) -> list[Piece]:
    """All documents in pieces; InputInvalid if there is no text at all."""
    found = [
        Piece(topic, part, text)
        for topic, whole in documents.items()
        for part, text in enumerate(split(whole), start=1)
    ]
    if not found:
        raise InputInvalid("the documents hold no text", hint="give files with text in them")
    return found


def split(text: str, characters_max: int = PIECE_CHARACTERS_MAX) -> list[str]:
    """Cut at the ends of paragraphs into pieces of at most so many characters.

    A longer paragraph is cut at the ends of lines, a longer line where it must be.
    """
    pieces: list[str] = []
    for paragraph in _PARAGRAPH_END.split(text.strip()):
        for block in _blocks(paragraph, characters_max):
            joined = f"{pieces[-1]}\n\n{block}" if pieces else block
            if pieces and len(joined) <= characters_max:
                pieces[-1] = joined
            else:
                pieces.append(block)
    return [piece for piece in pieces if piece.strip()]


def _blocks(paragraph: str, characters_max: int) -> Iterator[str]:
    block = ""
    for line in paragraph.splitlines(keepends=True):
        if block and len(block) + len(line) > characters_max:
            yield block.rstrip()
            block = ""
        block += line
        while len(block) > characters_max:
            yield block[:characters_max]
            block = block[characters_max:]
    if block.strip():
        yield block.rstrip()
