"""What stands in the way of ``streams kafka up`` is named with what moves it, not traced back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streams import cli
from streams.broker import project
from streams.broker.cluster import Identity
from streams.broker.files import exclusive
from streams.errors import KafkaFailed, SettingsInvalid


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file where directories are wanted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    return tmp_path


def test_data_below_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["kafka", "up", "--data", "file/data"]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error[E0810]: {here / 'file' / 'data'} cannot be written: Not a directory"
    assert hint == "hint: --data DIR keeps the data elsewhere"


def test_data_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Identity.create(here / "data", 1)
    (here / "data" / "broker-1").write_text("a file where a directory is wanted")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("streams.broker.cluster.classpath", list)
        assert cli.run(["kafka", "up", "--data", "data"]) == 1
    assert f"{here / 'data'} cannot be written: File exists" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["kafka", "up"], ["dev", "agents.py"]])
def test_a_file_where_the_record_goes(
    command: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / ".streams").write_text("")
    (here / "agents.py").write_text("")
    assert cli.run(command) == 1
    *_, error, hint = capsys.readouterr().err.splitlines()
    assert f"{here / '.streams'} cannot be written: " in error
    assert hint.startswith("hint: ")


def test_a_cache_that_cannot_be_made(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMS_CACHE", str(here / "file" / "cache"))
    assert cli.run(["kafka", "up"]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert "cannot be written: Not a directory" in error
    assert "STREAMS_CACHE" in hint


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cluster_id": "A"}', '{"cluster_id": "A", "brokers": 2}', "\0"]
)
def test_a_damaged_identity_is_named_and_can_be_wiped(
    text: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = here / ".streams" / "kafka"
    (data / "broker-1").mkdir(parents=True)
    (data / "cluster.json").write_text(text)
    assert cli.run(["kafka", "up"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert f"{data / 'cluster.json'} cannot be read" in error
    assert "--fresh" in hint

    def no_jars() -> list[Path]:
        raise KafkaFailed("the test ends here")

    monkeypatch.setattr("streams.broker.cluster.classpath", no_jars)
    with pytest.raises(KafkaFailed, match="the test ends here"):
        project.up(here, project.Wanted(fresh=True))
    assert Identity.of(data) is not None
    assert not (data / "broker-1").exists()


def test_a_damaged_cluster_json_of_somebody_else_is_not_wiped(here: Path) -> None:
    (here / "home").mkdir()
    for name in ("cluster.json", "thesis.txt"):
        (here / "home" / name).write_text("years of work")
    with pytest.raises(SettingsInvalid, match="is not wiped"):
        project.up(here, project.Wanted(data=here / "home", fresh=True))
    assert (here / "home" / "thesis.txt").exists()


def test_who_waits_for_another_process_says_so(here: Path) -> None:
    code = """
from pathlib import Path
from streams.broker.files import exclusive
with exclusive(Path("lock"), "another downloads", ""):
    print("mine", flush=True)
"""
    with exclusive(here / "lock", "", ""):
        waiting = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "another downloads; waiting\n"
    out, err = waiting.communicate(timeout=30)
    assert (out, err) == ("mine\n", "")
