"""The planted bugs can be planted, and the one that is found soonest is; all: ``make mutants``."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mutants import PLANTED, hunt, plant, planted

BUGS_MIN = 8


def test_there_are_bugs_to_find() -> None:
    assert len(planted()) >= BUGS_MIN


@pytest.mark.parametrize("patch", planted(), ids=lambda patch: patch.stem)
def test_a_bug_can_be_planted_in_the_code_as_it_is(patch: Path, tmp_path: Path) -> None:
    plant(patch, tmp_path)


@pytest.mark.timeout(200)
def test_a_planted_bug_is_found() -> None:
    found = hunt(PLANTED / "commit-before-the-handler-ends.patch", seeds=50)
    assert found is not None
    assert found.problem
