"""What the documentation names exists: files, links, tests, commands and their options."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from streams.cli import cli

from .pages import ROOT, anchors, lines_to_type, links, prose, spans

README_LINES_MAX = 150
DESIGN_LINES_MAX = 400
DESIGN = ROOT / "DESIGN.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda page: page.as_posix()
)
_SOURCES = re.compile(r"(?:streams|tests|schemas|agents|bench|docs|deploy)/[\w./*-]*")
_TEST = re.compile(r"\b(test_\w+)`")
_MAKE = re.compile(r"(?:^|[^\w.])make ([a-z]+)$")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES_MAX
    assert len(DESIGN.read_text("utf-8").splitlines()) <= DESIGN_LINES_MAX


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} is not there"
        if anchor:
            assert anchor in anchors(file), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    for span in spans(page):
        if _SOURCES.fullmatch(span):
            assert any(ROOT.glob(span.rstrip("/"))), f"`{span}` is not there"


def test_the_file_map_is_whole() -> None:
    """Each module of the package has its line in the file map, or its folder has."""
    _, _, section = DESIGN.read_text("utf-8").partition("## File map")
    assert section, "there is no file map"
    named = set(re.findall(r"`(streams/[\w./]+)`", section.partition("\n## ")[0]))
    missing = [
        name
        for file in sorted((ROOT / "streams").rglob("*.py"))
        if (name := name_of(file)) not in named
        and not any(name.startswith(folder) for folder in named if folder.endswith("/"))
        and not (file.name == "__init__.py" and len(file.read_text("utf-8").splitlines()) <= 10)
    ]
    assert not missing, f"the file map does not name {missing}"


def test_the_layers_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = " ".join(project["tool"]["importlinter"]["contracts"][0]["layers"])
    _, _, section = DESIGN.read_text("utf-8").partition("## Layers")
    shown = section.partition("```text\n")[2].partition("```")[0]
    assert re.findall(r"\w+", shown) == re.findall(r"\w+", layers)


def test_every_test_that_is_named_exists() -> None:
    tests = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("*.py"))
    named = {name for page in PAGES for name in _TEST.findall(prose(page))}
    assert named
    missing = [name for name in sorted(named) if f"def {name}(" not in tests]
    assert not missing, f"no such tests: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_named_exist(page: Path) -> None:
    for line in lines_to_type(page):
        for part in re.split(r"\s*(?:[|;&#<]|\d?>)+\s*", line):
            if re.match(r"(?:\.venv/bin/)?streams\b(?!/)[^.:]", part):
                check_command(part, name_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in lines_to_type(page):
        found = _MAKE.search(line.partition("#")[0].strip())
        if found:
            assert re.search(rf"^{found[1]}:", makefile, re.MULTILINE), f"no target {found[1]}"


def check_command(line: str, where: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        noun = words.pop(0)
        if not re.fullmatch(r"[a-z]+", noun):
            return  # NOUN, as in a synopsis
        found = command.get_command(context, noun)
        assert found is not None, f"{where}: `{line}`: there is no '{noun}'"
        command = found
    known = {name for param in command.params for name in param.opts} | {"--help", "-h"}
    for word in words:
        option = re.match(r"\[?(--[a-z][a-z-]*|-[a-z])(?:=|\]|$)", word)
        if option:
            assert option[1] in known, f"{where}: `{line}`: no option {option[1]}"
