"""The task that is measured: nothing but what every task pays."""

from __future__ import annotations

from pydantic import BaseModel

from streams import Context, agent

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


@agent(name=NAME, concurrency=1_000, timeout=30)
async def noop(ctx: Context, document: Document) -> Summary:
    """Validated in and out, with one cost."""
    ctx.charge("characters", amount_micros=len(document.text))
    return Summary(title=document.title, length=len(document.text))
