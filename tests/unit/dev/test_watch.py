"""Changes of files are told once, when they have settled."""

from __future__ import annotations

from pathlib import Path

from streams.dev.watch import Watch


def test_a_change_is_told_once_after_two_equal_looks(tmp_path: Path) -> None:
    file = tmp_path / "greet.py"
    file.write_text("one")
    watch = Watch([tmp_path])
    assert watch.look() == []
    file.write_text("three")
    assert watch.look() == []  # it may still be being written
    assert watch.look() == [file]
    assert watch.look() == []


def test_a_file_that_goes_on_changing_is_not_told_yet(tmp_path: Path) -> None:
    file = tmp_path / "greet.py"
    file.write_text("")
    watch = Watch([tmp_path])
    for length in range(1, 5):
        file.write_text("x" * length)
        assert watch.look() == []
    assert watch.look() == [file]


def test_new_removed_and_replaced_files_are_told(tmp_path: Path) -> None:
    old, kept = tmp_path / "old.py", tmp_path / "kept.py"
    old.write_text("")
    kept.write_text("same")
    watch = Watch([tmp_path])
    old.unlink()
    new = tmp_path / "deeper" / "prompt.txt"
    new.parent.mkdir()
    new.write_text("")
    # As editors save: another file takes the name.
    (tmp_path / "part.tmp").write_text("same")
    (tmp_path / "part.tmp").replace(kept)
    watch.look()
    assert watch.look() == sorted([new, kept, old])


def test_scratch_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    watch = Watch([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("__pycache__/greet.pyc", ".git/index", ".greet.py.swp", "greet.py~", "x.tmp"):
        (tmp_path / name).write_text("x")
    watch.look()
    assert watch.look() == []


def test_a_named_file_is_watched_alone_and_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "greet.py"
    watch = Watch([file])
    (tmp_path / "other.py").write_text("x")
    watch.look()
    assert watch.look() == []
    file.write_text("x")
    watch.look()
    assert watch.look() == [file]
