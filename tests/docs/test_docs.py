"""The documentation runs: every block of a page, in order, as a reader would type it."""

from __future__ import annotations

import os
import re
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from streams.broker import project
from streams.testing import Kafka

from .pages import FENCES, ROOT, Block, blocks
from .terminal import COLUMNS, LINES, Terminal, fits

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND_S = 90.0
SETTLE_S = 10.0
_LOOKS = re.compile(r"streams \w+ (list|get|report)\b")
"""Commands that only look: what runs in the background may need a moment to show."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def needs_kafka(page: Path) -> bool:
    return any(block.kind == "console" for block in blocks(page))


def starts_kafka(page: Path) -> bool:
    return any("streams kafka up" in b.text for b in blocks(page) if b.kind == "console")


ALONE = [page for page in PAGES if not needs_kafka(page)]
WITH_KAFKA = [page for page in PAGES if needs_kafka(page)]


class Reader:
    """Someone who works through one page in a folder of their own."""

    def __init__(self, page: Path, folder: Path, terminal: Terminal | None, prefix: str) -> None:
        self.module = ModuleType(f"docs_{page.stem}")
        self.page = page
        self._folder = folder
        self._terminal = terminal
        self._prefix = prefix

    def read(self) -> None:
        for block in blocks(self.page):
            if block.kind == "python":
                self._python(block)
            elif block.kind == "console":
                self._console(block)

    def _python(self, block: Block) -> None:
        if block.file is not None:
            # A file is for the commands that follow, which load or run it.
            file = self._folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            return
        # Line numbers as in the page, so that a traceback names the line to mend.
        code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
        exec(code, vars(self.module))

    def _console(self, block: Block) -> None:
        assert self._terminal is not None
        for command, shown in block.commands():
            status, printed = self._run(command)
            end = time.monotonic() + SETTLE_S
            while shown and not fits(shown, printed) and _LOOKS.match(command):
                if time.monotonic() > end:
                    break
                status, printed = self._run(command)
            where = f"{name_of(block.page)}:{block.line}: $ {command}\n"
            assert ("error[" in shown) == (status != 0), f"{where}exit {status}\n{printed}"
            if shown:
                assert fits(shown, printed), f"{where}prints\n{printed}\nnot\n{shown}"

    def _run(self, command: str) -> tuple[int, str]:
        assert self._terminal is not None
        status, printed = self._terminal.run(command, COMMAND_S)
        # The prefix only keeps the pages apart.
        return status, printed.replace(f"{self._prefix}.", "")


@pytest.fixture
def module_names() -> Iterator[None]:
    """What pages define is found by its module's name while they are read."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("docs_"):
            del sys.modules[name]


def read(page: Path, folder: Path, terminal: Terminal | None = None, prefix: str = "") -> None:
    reader = Reader(page, folder, terminal, prefix)
    sys.modules[reader.module.__name__] = reader.module
    reader.read()


@pytest.mark.usefixtures("module_names")
@pytest.mark.parametrize("page", ALONE, ids=name_of)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read(page, tmp_path)


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[None]:
    """A Kafka that a page starts is ended, also if the page fails half-way."""
    yield
    project.down(tmp_path)


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("module_names", "own_kafka")
@pytest.mark.parametrize("page", WITH_KAFKA, ids=name_of)
def test_a_page_runs_with_kafka(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    prefix = f"docs-{uuid.uuid4().hex[:8]}"
    monkeypatch.chdir(tmp_path)
    for name in ("STREAMS_BOOTSTRAP", "STREAMS_PREFIX", "PYTEST_ADDOPTS", "CI"):
        monkeypatch.delenv(name, raising=False)
    if not starts_kafka(page):
        kafka: Kafka = request.getfixturevalue("streams_kafka")
        monkeypatch.setenv("STREAMS_BOOTSTRAP", kafka.bootstrap)
        monkeypatch.setenv("STREAMS_PREFIX", prefix)
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": str(COLUMNS),
        "LINES": str(LINES),
    }
    with Terminal(tmp_path, env) as terminal:
        read(page, tmp_path, terminal, prefix)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_whether_it_is_run(page: Path) -> None:
    strange = [
        f"{name_of(page)}:{b.line}: {b.kind!r}" for b in blocks(page) if b.kind not in FENCES
    ]
    assert not strange, "a block is python, console, or (not run) text: " + ", ".join(strange)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_file_is_followed_by_commands(page: Path) -> None:
    kinds = ["file" if block.file is not None else block.kind for block in blocks(page)]
    while "file" in kinds:
        kinds = kinds[kinds.index("file") + 1 :]
        assert "console" in kinds, "nothing runs the last file of this page"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("took 1.2 s", "took 34 s", True),
        ("lost 0", "lost 0", True),
        ("lost 0", "lost 3", False),
        ("0 results", "12 results", False),
        ("a  b", "a b", True),
        ("first\n...\nlast", "first\nsecond\nthird\nlast", True),
        ("first\n...\nlast", "first\nlast", True),
        ("first\n...", "second\nfirst", False),
        ("at ... now", "at 127.0.0.1:9092 now", True),
        ("at ... now", "at now", True),
        ("ok", "ok\nerror", False),
        ("a+b", "aab", False),
    ],
)
def test_what_is_shown_is_compared_loosely(shown: str, printed: str, same: bool) -> None:
    assert fits(shown, printed) == same
