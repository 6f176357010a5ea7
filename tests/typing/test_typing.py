"""The types hold in both directions: right uses pass a strict checker, wrong ones do not."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MARK = "# error:"


@cache
def reported() -> dict[tuple[str, int], str]:
    """What pyright reports, by file and line (from 1)."""
    command = ["pyright", "--project", str(HERE), "--pythonpath", sys.executable, "--outputjson"]
    run = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=HERE, check=False
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    output = json.loads(run.stdout)
    assert output["summary"]["filesAnalyzed"] == len(list(HERE.glob("*/*.py")))
    return {
        (
            str(Path(found["file"]).relative_to(HERE)),
            found["range"]["start"]["line"] + 1,
        ): found["message"]
        for found in output["generalDiagnostics"]
        if found["severity"] in ("error", "warning")
    }


@pytest.mark.parametrize("path", sorted(HERE.glob("right/*.py")), ids=lambda path: path.stem)
def test_right_uses_are_accepted(path: Path) -> None:
    name = str(path.relative_to(HERE))
    assert {place: text for place, text in reported().items() if place[0] == name} == {}


@pytest.mark.parametrize("path", sorted(HERE.glob("wrong/*.py")), ids=lambda path: path.stem)
def test_wrong_uses_are_reported_and_nothing_else(path: Path) -> None:
    name = str(path.relative_to(HERE))
    lines = path.read_text("utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if MARK in line}
    found = {place[1]: text for place, text in reported().items() if place[0] == name}
    assert expected, "a file of wrong uses has marked lines"
    assert {number: lines[number - 1] for number in expected - found.keys()} == {}
    assert {number: found[number] for number in found.keys() - expected} == {}
