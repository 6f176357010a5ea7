"""What the demo prints at its end, and what it exits with."""

from __future__ import annotations

from collections import Counter
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from streams import cli
from streams.demo import run as demo_run
from streams.demo.job import Crash
from streams.demo.report import show
from streams.demo.run import Outcome, Spent
from streams.demo.watch import Findings
from streams.demo.workers import Held
from streams.verify import Report


def outcome(report: Report) -> Outcome:
    found = {
        "bees": Findings({1: "Bees make honey."}, Counter({"honey": 5, "the": 9})),
        "[b]ears": Findings({1: "Bears eat honey."}, Counter({"bear": 3, "the": 9})),
    }
    crash = Crash("worker-2", 1, 10, Held({1: 5, 3: 5}, 4), 0)
    spent = [Spent("digest", "character", 2_000, 1_000_001)]
    return Outcome(found, spent, report, crash, 0.5)


def good() -> Report:
    return Report(submitted=1_000, caused=1_000, answered=2_000)


def bad() -> Report:
    report = Report(submitted=1_000, caused=1_000, answered=1_999, lost=1)
    report.add("I1", "has no result", "task-7")
    return report


def test_a_proof_that_holds_is_all_ticks(capsys: pytest.CaptureFixture[str]) -> None:
    show(outcome(good()))
    out = capsys.readouterr().out
    assert "✗" not in out
    assert "2,000 = 2,000" in out
    assert "0.50 s" in out
    assert "$1.000001" in out


def test_what_does_not_hold_is_marked_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    show(outcome(bad()))
    out = capsys.readouterr().out
    assert "✗ submitted = answered" in out
    assert "✓ duplicates" in out
    assert "task-7: has no result" in out


def test_a_word_of_every_document_is_no_keyword_of_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(outcome(good()))
    out = capsys.readouterr().out
    assert "honey, the" in out
    assert "bear, the" in out
    assert "[b]ears" in out, "names are text, not markup"


@pytest.mark.parametrize(("report", "code"), [(good(), 0), (bad(), 1)])
def test_the_exit_code_is_that_of_the_proof(
    report: Report, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> Outcome:
        return outcome(report)

    monkeypatch.setattr(demo_run, "run", run)
    assert cli.run(["demo"]) == code


def test_a_missing_extra_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(name: str, *_: Any) -> ModuleSpec | None:
        return None if name == "lede" else ModuleSpec(name, None)

    monkeypatch.setattr(demo_run, "find_spec", find)
    assert cli.run(["demo"]) == 2
    assert "hint: pip install 'agentstreams[demo]'" in capsys.readouterr().err
