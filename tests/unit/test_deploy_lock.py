"""The image of the worker gets the versions that are developed and tested with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
ENTRY = re.compile(
    r"^([a-z0-9][a-z0-9.-]*)==(\S+)[^\n]*((?:\n +--hash=\S+(?: \\)?)+)", re.MULTILINE
)


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Package -> version and hashes."""
    return {
        name: (version, frozenset(re.findall(r"--hash=(\S+)", hashes)))
        for name, version, hashes in ENTRY.findall(path.read_text())
    }


def test_the_image_installs_what_is_locked_for_development() -> None:
    image = locked(PROJECT / "deploy" / "requirements.lock")
    assert image.items() <= locked(PROJECT / "requirements.lock").items()


def test_the_image_has_every_package_that_the_project_names() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["otel"]
    names = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in wanted}
    assert names <= locked(PROJECT / "deploy" / "requirements.lock").keys()
