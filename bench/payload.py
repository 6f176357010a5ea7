"""What a task carries, the same for every system: JSON in, validated by pydantic, JSON out."""

from __future__ import annotations

from pydantic import BaseModel

NAME = "noop"
TEXT = "A paragraph of the usual length, so that records have the size they have in real work. " * 2


class Document(BaseModel):
    """What goes in."""

    title: str
    text: str


class Summary(BaseModel):
    """What comes out."""

    title: str
    length: int


def document(number: int) -> Document:
    """The input of the task of this number."""
    return Document(title=f"document {number}", text=TEXT)


def summarise(given: Document) -> Summary:
    """The work: none."""
    return Summary(title=given.title, length=len(given.text))
