"""Markdown pages as what can be run and checked: fenced blocks, links, mentioned commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCES = frozenset({"python", "console", "text", "mermaid"})
"""What a block may be: run, run in a shell, or only looked at."""

_FILE = re.compile(r"# ([\w./-]+\.py)\n")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``line`` is that of its first line of content, from 1."""

    page: Path
    kind: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that a python block says it is, in a comment on its first line."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """(command, shown output) of a console block; ``> `` continues a command."""
        lines = self.text.splitlines()
        assert lines, f"{self.page}:{self.line}: the block is empty"
        assert lines[0].startswith("$ "), f"{self.page}:{self.line}: no command comes first"
        command, shown = "", list[str]()
        for line in lines:
            if line.startswith("$ "):
                if command:
                    yield command, "\n".join(shown)
                command, shown = line[2:], []
            elif line.startswith("> ") and not shown:
                command += f"\n{line[2:]}"
            else:
                shown.append(line)
        yield command, "\n".join(shown)


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: tuple[str, int] | None = None
    content: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if not line.startswith("```"):
            content.append(line)
        elif opened is None:
            opened, content = (line[3:].strip(), number + 1), []
        else:
            found.append(Block(page, opened[0], "\n".join(content) + "\n", opened[1]))
            opened = None
    assert opened is None, f"{page}: the block of line {opened} does not end"
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """The targets of links that stay in the repository."""
    targets = _LINK.findall(prose(page))
    return [
        target for target in targets if "://" not in target and not target.startswith("mailto:")
    ]


def spans(page: Path) -> list[str]:
    """What stands in backticks."""
    return _SPAN.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What a link can name behind ``#``: the headings, as hosting sites write them."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", h.lower().replace("`", "")).replace(" ", "-") for h in headings}


def lines_to_type(page: Path) -> Iterator[str]:
    """Every command line that a page shows: in backticks, in console and in text blocks."""
    yield from spans(page)
    for block in blocks(page):
        if block.kind == "console":
            yield from (command for command, _ in block.commands())
        elif block.kind == "text":
            yield from (line.strip().removeprefix("$ ") for line in block.text.splitlines())
