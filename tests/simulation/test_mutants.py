"""Every planted bug is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mutants import hunt, planted


def test_there_are_bugs_to_find() -> None:
    assert len(planted()) >= 8


@pytest.mark.timeout(420)
@pytest.mark.parametrize("patch", planted(), ids=lambda patch: patch.stem)
def test_a_planted_bug_is_found(patch: Path) -> None:
    assert hunt(patch) is not None, "it survived"
