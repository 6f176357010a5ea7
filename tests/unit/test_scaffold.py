"""`streams init`: what it makes works as it is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from streams.cli import run
from streams.errors import FolderInUse, SettingsInvalid
from streams.loader import load
from streams.scaffold import NEXT, create


def test_the_test_of_a_new_project_passes(tmp_path: Path) -> None:
    create(tmp_path / "My agents")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "My agents",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_its_agents_load_and_the_next_command_names_one(tmp_path: Path) -> None:
    create(tmp_path / "My agents")
    agents = load([tmp_path / "My agents" / "agents"])
    submit = next(command for command, _ in NEXT if command.startswith("streams task submit "))
    name, data = submit.split(maxsplit=4)[3], submit.partition("'")[2].rpartition("'")[0]
    (agent,) = (agent for agent in agents if agent.name == name)
    assert agent.parse_input(data.encode()).text == "hello world"


def test_the_project_is_named_like_its_folder(tmp_path: Path) -> None:
    create(tmp_path / "My agents")
    project = tomllib.loads((tmp_path / "My agents" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-agents"
    with pytest.raises(SettingsInvalid, match="can name no project"):
        create(tmp_path / "___")


def test_a_folder_with_content_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    with pytest.raises(FolderInUse):
        create(tmp_path)
    assert run(["init", str(tmp_path)]) == 5
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_an_empty_folder_is_used_and_the_next_commands_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    for command in (f"cd {tmp_path}", "pytest", "streams dev"):
        assert f"  {command}" in said.err


def test_the_commands_that_are_said_work_for_a_name_with_blanks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "bad name!"]) == 0
    (line,) = (text for text in capsys.readouterr().err.splitlines() if text.startswith("  cd "))
    entered = subprocess.run(["sh", "-c", f"{line} && pwd"], capture_output=True, text=True)
    assert entered.stdout == f"{tmp_path / 'bad name!'}\n"


def test_a_place_where_nothing_can_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsInvalid, match="cannot be made"):
        create(tmp_path / "file" / "project")
