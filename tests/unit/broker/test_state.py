"""A running cluster is found from its directory and below; a dead one is passed over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams import cli
from streams.broker import project, state
from streams.broker.cluster import mark_of
from streams.broker.state import Broker, Running
from streams.errors import KafkaRunning, SettingsInvalid


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A record whose broker is a process that looks like one."""
    data = tmp_path / "data"
    command = [sys.executable, "-c", "input()", mark_of(data) + "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        yield Running(
            bootstrap="127.0.0.1:9092",
            brokers=(Broker(1, "127.0.0.1:9092", child.pid, "broker.log"),),
            data=str(data),
            cluster_id="A",
            version="4.4.0",
            started_at="2026-01-01T00:00:00+00:00",
            owner=None,
        )
        child.kill()


def dead(running: Running) -> Running:
    """The same record under a process that is not that broker."""
    return replace(running, data=running.data + "-of-another")


def test_a_cluster_is_found_from_below(running: Running, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert state.find_running(below) is None
    state.write(tmp_path, running)
    assert state.find_running(below) == running
    assert [path.name for path in (tmp_path / ".streams").iterdir()] == ["kafka.json"]


def test_a_dead_record_does_not_hide_a_live_one_above(running: Running, tmp_path: Path) -> None:
    state.write(tmp_path, running)
    state.write(tmp_path / "a", dead(running))
    assert state.find_running(tmp_path / "a") == running


@pytest.mark.parametrize("text", ["", "{}", '{"brokers": [{"pid": 1}]}', "[]"])
def test_a_record_that_cannot_be_read_counts_as_none(text: str, tmp_path: Path) -> None:
    path = state.path_in(tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    assert state.find_running(tmp_path) is None


@pytest.mark.parametrize(
    "wanted",
    [
        project.Wanted(brokers=3),
        project.Wanted(port=9999),
        project.Wanted(fresh=True),
        project.Wanted(data=Path("elsewhere")),
    ],
)
def test_a_running_cluster_that_is_not_what_is_wanted_is_a_conflict(
    running: Running, tmp_path: Path, wanted: project.Wanted
) -> None:
    state.write(tmp_path, running)
    with pytest.raises(KafkaRunning, match="runs here already"):
        project.up(tmp_path, wanted)


def test_a_running_cluster_is_joined_and_left_running(running: Running, tmp_path: Path) -> None:
    state.write(tmp_path, running)
    assert project.up(tmp_path, project.Wanted(brokers=1, port=9092)) == (running, False)
    with project.joined(tmp_path, project.Wanted()) as joined:
        assert joined == running
    assert state.find_running(tmp_path) == running


@pytest.mark.parametrize(
    ("pid", "owner", "is_", "remedy"),
    [
        (None, None, "dead", "streams kafka down, then streams kafka up"),
        (None, 4711, "dead", "end process 4711"),
        ("stopped", None, "stopped", "kill -CONT "),
    ],
)
def test_a_cluster_without_one_of_its_brokers_is_no_success(
    pid: str | None,
    owner: int | None,
    is_: str,
    remedy: str,
    running: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if pid is None:  # a number that nobody has
        other = Broker(2, "127.0.0.1:9093", 2**22 + 1, "broker-2.log")
        running = replace(running, brokers=(*running.brokers, other), owner=owner)
    else:
        os.kill(running.brokers[0].pid, signal.SIGSTOP)
        os.waitpid(running.brokers[0].pid, os.WUNTRACED)
    state.write(tmp_path, running)
    monkeypatch.chdir(tmp_path)
    for command in ("up", "status"):
        assert cli.run(["kafka", command]) == 1
        out, err = capsys.readouterr()
        error, hint = err.splitlines()
        assert f"is {is_}; its log is {running.brokers[-1].log}" in error
        assert hint.startswith(f"hint: {remedy}")
        assert bool(out) == (command == "status")


def test_down_leaves_a_cluster_to_the_process_that_owns_it(
    running: Running, tmp_path: Path
) -> None:
    state.write(tmp_path, replace(running, owner=4711))
    with pytest.raises(KafkaRunning, match="belongs to process 4711"):
        project.down(tmp_path)
    assert running.alive


def test_down_ends_the_processes_and_the_record(running: Running, tmp_path: Path) -> None:
    state.write(tmp_path, running)
    assert project.down(tmp_path) == running
    assert not running.alive
    assert not state.path_in(tmp_path).exists()
    assert project.down(tmp_path) is None


def test_fresh_does_not_wipe_what_is_no_kafka_of_ours(tmp_path: Path) -> None:
    precious = tmp_path / "home" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(SettingsInvalid, match="is not wiped"):
        project.up(tmp_path, project.Wanted(data=precious.parent, fresh=True))
    assert precious.exists()
