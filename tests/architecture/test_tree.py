"""What no file of the project may hold, and what the lock must."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"__pycache__", "build", "dist", "node_modules"}
# Put together here, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.}~-])/(?:" + "|".join(["work", "root", "Users"]) + ")/")
REGISTRIES = re.compile(r"(?:" + "|".join(["pypi", "pythonhosted", "maven"]) + r")\.(?:org|apache)")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
ENTRY = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)((?:.*\\\n)+.*)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def files() -> Iterator[Path]:
    """The project's own files."""
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if path.is_file() and not hidden and not GENERATED & set(parts):
            yield path


def findings(pattern: re.Pattern[str], text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRIES], ids=["paths", "registries"])
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in files()
        if (lines := findings(pattern, path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATHS, "see /" + "work/main/x.py"),
        (MACHINE_PATHS, "COPY x /" + "root/"),
        (REGISTRIES, "https://" + "pypi" + ".org/simple"),
    ],
)
def test_what_must_not_be_there_is_found(pattern: re.Pattern[str], text: str) -> None:
    assert findings(pattern, text) == [text]


def test_every_entry_of_the_lock_is_pinned_with_hashes_and_without_addresses() -> None:
    entries = ENTRY.findall(LOCK)
    starts = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(starts) > 50
    for name, _, rest in entries:
        assert HASH.search(rest), f"{name} has no hash"
    assert "://" not in LOCK
    assert [line for line in starts if line.startswith("-")] == []


def test_the_lock_fits_what_the_project_asks_for() -> None:
    locked: dict[str, list[str]] = {}
    for name, version, _ in ENTRY.findall(LOCK):
        locked.setdefault(canonicalize_name(name), []).append(version)
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(need for extra in extras for need in extra),
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    for need in map(Requirement, wanted):
        versions = locked.get(canonicalize_name(need.name), [])
        assert versions, f"{need.name} is not in requirements.lock: make lock"
        for version in versions:
            assert need.specifier.contains(version, prereleases=True), f"{need} but {version}"
