from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.guard import LIMIT, PATHS, GuardError, Record, Round, Verdict, read_record, take_out

RECORD = Record("abcdef0123456789", 1.5)


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    # A round that something disturbed does not decide.
    rounds = [Round(10, 15, 16), Round(20, 30, 32), Round(10, 90, 95)]
    assert Verdict.of(rounds) == Verdict(recorded=1.5, now=1.6)


def test_a_slower_machine_changes_nothing() -> None:
    assert Verdict.of([Round(10, 15, 18)]) == Verdict.of([Round(30, 45, 54)])


def test_up_to_the_limit_it_passes() -> None:
    assert Verdict(recorded=2.0, now=2.0 * LIMIT).ok
    assert not Verdict(recorded=2.0, now=2.0 * LIMIT + 0.01).ok


def test_a_failure_says_how_much_and_what_to_do() -> None:
    text = Verdict(recorded=1.5, now=3.0).text(RECORD)
    assert text.startswith("error: the task path takes more CPU")
    for part in ("3.00", "1.50", "2.00 of that", str(LIMIT), "abcdef012345", "--only stages"):
        assert part in text
    assert "make guard ARGS=--record" in text


def test_a_pass_has_no_error() -> None:
    assert "error" not in Verdict(recorded=1.5, now=1.5).text(RECORD)


@pytest.mark.parametrize("text", ["", "{}", '{"commit": "abc"}', "[]"])
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "guard.json"
    file.write_text(text)
    with pytest.raises(GuardError, match=r"guard\.json.*\n.*--record"):
        read_record(file)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    line = ["git", *identity, *arguments]
    return subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for number in (1, 2):
        for path in PATHS:
            file = folder / path if "." in path else folder / path / "file"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", str(number))
    return folder


def test_a_commit_is_taken_out_as_it_was(tmp_path: Path, clone: Path) -> None:
    first = git(clone, "rev-parse", "HEAD~1").strip()
    take_out(first, tmp_path, clone)
    assert (tmp_path / "bench" / "file").read_text() == "1\n"
    assert (tmp_path / "pyproject.toml").read_text() == "1\n"


def test_a_commit_that_is_not_there_is_an_error(tmp_path: Path, clone: Path) -> None:
    with pytest.raises(GuardError, match="0123456789ab is not in this clone\nhint: git fetch"):
        take_out("0123456789abcdef0123456789abcdef01234567", tmp_path, clone)


def test_a_shallow_clone_is_named(tmp_path: Path, clone: Path) -> None:
    first = git(clone, "rev-parse", "HEAD~1").strip()
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", clone.as_uri(), str(shallow))
    with pytest.raises(GuardError, match="shallow: git fetch --unshallow"):
        take_out(first, tmp_path, shallow)
