"""The planted bugs can be planted, and the one that is found soonest is; all: ``make mutants``."""

from __future__ import annotations

from pathlib import Path

import pytest

from .found import first_by
from .mutants import PLANTED, begin, hunt, plant, planted, rules

BUGS_MIN = 17
DIED = "worker slot-0 ended: the committer died: AttributeError('gone')"


def test_there_are_bugs_to_find() -> None:
    assert len(planted()) >= BUGS_MIN


@pytest.mark.parametrize("patch", planted(), ids=lambda patch: patch.stem)
def test_a_bug_can_be_planted_in_the_code_as_it_is(patch: Path, tmp_path: Path) -> None:
    assert rules(patch)
    plant(patch, tmp_path)


@pytest.mark.timeout(200)
def test_a_planted_bug_is_found() -> None:
    found = hunt(PLANTED / "commit-before-the-handler-ends.patch", seeds=50)
    assert found.found
    assert found.problem.startswith("I1:")


def test_hunting_begins_where_a_bug_was_found_and_comes_to_all_seeds(tmp_path: Path) -> None:
    source = PLANTED / "commit-before-the-handler-ends.patch"
    patch = tmp_path / source.name
    patch.write_text("Found-at: 7\n" + source.read_text())
    found = hunt(patch, seeds=50)
    assert (begin(patch), found.found) == (7, True)
    assert found.seed >= begin(patch)
    assert hunt(patch, seeds=7).seed < begin(patch)


def test_only_a_problem_of_its_own_rule_finds_a_bug() -> None:
    assert first_by(["I1"], ["I13: late", "I1: lost"]) == "I1: lost"
    assert first_by(["I1"], ["I13: late"]) is None
    assert first_by(["outcome: * expired"], ["outcome: task 3 failed"]) is None
    assert first_by(["outcome: * failed"], ["outcome: task 3 failed by x"])


def test_a_patch_that_does_not_fit_the_code_any_more_finds_nothing() -> None:
    assert first_by(["*"], ["the run itself failed: AttributeError('gone')"]) is None
    assert first_by(["I13"], [DIED, "I13: late"]) is None
    assert first_by(["I13"], ["I13: late", "loop: {'message': 'gone'}"]) is None
    assert first_by(["worker * ended: the committer died: AttributeError"], [DIED]) == DIED
