"""A new project: one agent and its test, which pass as they are."""

from __future__ import annotations

import re
from pathlib import Path

from streams.errors import FolderInUse, SettingsInvalid

_AGENT = '''\
"""An agent: an async function of one typed input to one typed output."""

from pydantic import BaseModel
from streams import Context, agent


class Text(BaseModel):
    text: str


class Count(BaseModel):
    words: int
    longest: str


@agent
async def count_words(ctx: Context, input: Text) -> Count:
    """Count the words of a text, and find the longest."""
    words = input.text.split()
    ctx.charge("word", amount_micros=2 * len(words), units=len(words))
    return Count(words=len(words), longest=max(words, key=len, default=""))
'''

_TEST = '''\
"""The agent on the real runtime, with a Kafka in memory: nothing to start, nothing to wait for."""

import asyncio

from count_words import Text, count_words
from streams.testing import Fleet


def test_words_are_counted_and_paid() -> None:
    async def run() -> None:
        async with Fleet(count_words) as client:
            handle = await client.submit(count_words, Text(text="agents are consumers"))
            result = await handle.record(timeout=10)
            assert result.output is not None, result.error
            assert result.output.words == 3
            assert result.output.longest == "consumers"
            assert result.cost_micros == 6

    asyncio.run(run())
'''

_PROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["agentstreams[kafka]"]

[dependency-groups]
dev = ["agentstreams[testing]"]

[tool.pytest.ini_options]
pythonpath = ["agents"]
testpaths = ["tests"]
"""

_IGNORED = ".streams/\n.venv/\n__pycache__/\n"

NEXT = (
    ("pytest", "the agent's test, without a broker"),
    ("streams dev", "Kafka, a worker that follows your edits, its results"),
    ("""streams task submit count-words '{"text": "hello world"}' --wait""", "in another terminal"),
)
"""What to type in the new folder, and what it does."""


def create(folder: Path) -> list[Path]:
    """Make the project in ``folder``, which is new or empty; the files that were written.

    FolderInUse if the folder holds anything, SettingsInvalid if it cannot be made or its name
    can name no project.
    """
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    if not name:
        raise SettingsInvalid(
            f"'{folder}' can name no project", hint="use letters: streams init my-agents"
        )
    files = {
        folder / "agents" / "count_words.py": _AGENT,
        folder / "tests" / "test_count_words.py": _TEST,
        folder / "pyproject.toml": _PROJECT.format(name=name),
        folder / ".gitignore": _IGNORED,
    }
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FolderInUse(
                f"{folder} exists and is not empty", hint="choose another name, or an empty folder"
            )
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise SettingsInvalid(
            f"{folder} cannot be made: {error}", hint="choose a place where you may write"
        ) from None
    return list(files)
