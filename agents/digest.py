"""The demo's agents: ``digest`` reads a piece of a document, ``index`` takes its keywords.

lede reads, because it is small, needs no other package and downloads nothing. Of what was tried,
yake 0.7 brings numpy and names both GPL and LGPL, sumy 0.13 wants a download of NLTK's for its
tokenizer, and summa is 171 MB installed and crashes on some topics.
"""

import asyncio
import re

from lede import summarize  # pyright: ignore[reportMissingTypeStubs]
from lede.extract import top_terms  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BaseModel

from streams import Context, agent

SUMMARY_CHARACTERS = 240
KEYWORDS = 8
PRICE_MICROS = 20
"""Price of reading 1,000 characters, in millionths of a dollar."""
ENTRY_MICROS = 1
"""Price of one entry of the index."""


class Piece(BaseModel):
    """A piece of a document: the ``part``-th of its ``topic``, from 1."""

    topic: str
    part: int
    text: str


class Digest(BaseModel):
    """What is worth knowing of a piece: sentences of its own, and how often keywords occur."""

    topic: str
    part: int
    summary: str
    keywords: dict[str, int]


class Entries(BaseModel):
    """What the index holds of a piece: a score for each of its keywords."""

    topic: str
    part: int
    scores: dict[str, int]


@agent
async def index(ctx: Context, digest: Digest) -> Entries:
    """Score the keywords of a piece: longer phrases say more, and count more."""
    scores = {word: times * len(word.split()) for word, times in digest.keywords.items()}
    ctx.charge("index-entry", amount_micros=ENTRY_MICROS * len(scores), units=len(scores))
    return Entries(topic=digest.topic, part=digest.part, scores=scores)


@agent
async def digest(ctx: Context, piece: Piece) -> Digest:
    """Summarise a piece and find its keywords, then hand these on to the index."""
    # Reading takes milliseconds of computing: on a thread it does not hold up other tasks.
    result = await asyncio.to_thread(read, piece)
    ctx.charge("character", amount_micros=price_micros(len(piece.text)), units=len(piece.text))
    await ctx.submit(index, result, key=ctx.task.key)
    return result


def read(piece: Piece) -> Digest:
    """Summary and keywords of a piece; works on this text alone and downloads nothing."""
    summary = summarize(piece.text, SUMMARY_CHARACTERS).summary
    words = " ".join(["", *re.findall(r"\w+", piece.text.lower()), ""])
    terms = top_terms(piece.text, n=KEYWORDS)
    return Digest(
        topic=piece.topic,
        part=piece.part,
        summary=" ".join(summary.split()),
        # A term may leave out words between its own; only what stands there so is counted.
        keywords={term: n for term in map(str, terms) if (n := words.count(f" {term} "))},
    )


def price_micros(characters: int) -> int:
    """The price of reading so many characters, rounded up once to a whole micro."""
    return -(-characters * PRICE_MICROS // 1_000)
