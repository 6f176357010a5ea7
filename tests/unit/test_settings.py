from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.broker import state
from streams.broker.state import Broker, Running
from streams.errors import SettingsInvalid
from streams.settings import OWNED, Settings, resolve


def write(folder: Path, text: str) -> Path:
    path = folder / "streams.toml"
    path.write_text(text)
    return path


def record(folder: Path, pids: list[int], bootstrap: str = "127.0.0.1:9191") -> Path:
    path = folder / ".streams" / "kafka.json"
    path.parent.mkdir()
    brokers = tuple(Broker(n, bootstrap, pid, "") for n, pid in enumerate(pids, 1))
    state.write(folder, Running(bootstrap, brokers, str(folder / "data"), "id", "4", "", None))
    return path


@pytest.fixture
def broker_pid(tmp_path: Path) -> Iterator[int]:
    """The pid of a process that looks like a broker on the data of ``record``."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "data" / "broker-1")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has become another program than this one
        yield child.pid


@pytest.fixture
def ended_pid() -> int:
    """The pid of a process that has ended and is waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_each_source_gives_way_to_the_one_before(tmp_path: Path, broker_pid: int) -> None:
    recorded = record(tmp_path, [broker_pid])
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = resolve(cwd=below, env={})
    assert (settings.bootstrap, settings.prefix) == ("127.0.0.1:9191", "")
    assert settings.provenance == {"bootstrap": str(recorded), "prefix": "default"}

    file = write(tmp_path, 'bootstrap = "file:1"\nprefix = "p-file"')
    settings = resolve(cwd=below, env={})
    assert (settings.bootstrap, settings.prefix) == ("file:1", "p-file")
    assert settings.provenance == {"bootstrap": str(file), "prefix": str(file)}

    env = {"STREAMS_BOOTSTRAP": "env:1", "STREAMS_PREFIX": "p-env"}
    settings = resolve(cwd=below, env=env)
    assert (settings.bootstrap, settings.prefix) == ("env:1", "p-env")
    assert settings.provenance["bootstrap"] == "STREAMS_BOOTSTRAP"

    settings = resolve("flag:1", "p-flag", cwd=below, env=env)
    assert (settings.bootstrap, settings.prefix) == ("flag:1", "p-flag")
    assert settings.provenance["prefix"] == "--prefix"


def test_an_empty_variable_is_no_setting(tmp_path: Path) -> None:
    write(tmp_path, 'bootstrap = "file:1"')
    assert resolve(cwd=tmp_path, env={"STREAMS_BOOTSTRAP": ""}).bootstrap == "file:1"


def test_an_empty_prefix_given_overrides_the_file(tmp_path: Path) -> None:
    write(tmp_path, 'bootstrap = "file:1"\nprefix = "p"')
    assert resolve(prefix="", cwd=tmp_path, env={}).prefix == ""


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    write(tmp_path, 'bootstrap = "far:1"')
    near = tmp_path / "near"
    near.mkdir()
    write(near, 'bootstrap = "near:1"')
    assert resolve(cwd=near, env={}).bootstrap == "near:1"


def test_without_a_broker_the_hint_is_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no Kafka broker is known") as caught:
        resolve(cwd=tmp_path, env={})
    assert "streams dev" in caught.value.hint


def test_a_cluster_that_has_ended_does_not_count(tmp_path: Path, ended_pid: int) -> None:
    recorded = record(tmp_path, [ended_pid])
    with pytest.raises(SettingsInvalid, match="is not running") as caught:
        resolve(cwd=tmp_path, env={})
    assert str(recorded) in str(caught.value)


def test_a_process_that_took_over_a_brokers_number_does_not_count(tmp_path: Path) -> None:
    record(tmp_path, [os.getpid()])
    with pytest.raises(SettingsInvalid, match="is not running"):
        resolve(cwd=tmp_path, env={})


def test_a_cluster_with_one_broker_left_counts(
    tmp_path: Path, ended_pid: int, broker_pid: int
) -> None:
    record(tmp_path, [ended_pid, broker_pid])
    assert resolve(cwd=tmp_path, env={}).bootstrap == "127.0.0.1:9191"


def test_a_live_cluster_further_up_counts_when_the_nearer_has_ended(
    tmp_path: Path, ended_pid: int, broker_pid: int
) -> None:
    record(tmp_path, [broker_pid])
    below = tmp_path / "below"
    below.mkdir()
    record(below, [ended_pid], "127.0.0.1:1")
    assert resolve(cwd=below, env={}).bootstrap == "127.0.0.1:9191"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bootstrap": "a:1", "brokers": 7}'])
def test_a_record_of_another_version_does_not_count(tmp_path: Path, text: str) -> None:
    record(tmp_path, []).write_text(text)
    with pytest.raises(SettingsInvalid, match="is not running"):
        resolve(cwd=tmp_path, env={})


def test_client_properties_pass_through(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        bootstrap = "a:1"
        [kafka]
        security.protocol = "SSL"
        "ssl.ca.location" = "ca.pem"
        socket.keepalive.enable = true
        linger.ms = 7
        """,
    )
    settings = resolve(cwd=tmp_path, env={"STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
    assert settings.kafka == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "ca.pem",
        "socket.keepalive.enable": "true",
        "linger.ms": "7",
    }
    assert settings.provenance["kafka.security.protocol"] == "STREAMS_KAFKA_SECURITY_PROTOCOL"
    assert settings.provenance["kafka.linger.ms"] == str(file)


@pytest.mark.parametrize("name", sorted(OWNED))
def test_properties_that_promises_rest_on_are_refused_with_the_reason(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, f'bootstrap = "a:1"\n[kafka]\n{name} = "x"')
    with pytest.raises(SettingsInvalid, match="cannot be set") as caught:
        resolve(cwd=tmp_path, env={})
    assert name in str(caught.value)
    assert OWNED[name] in str(caught.value)
    assert "streams.toml" in str(caught.value)
    variable = f"STREAMS_KAFKA_{name.upper().replace('.', '_')}"
    with pytest.raises(SettingsInvalid, match=variable):
        resolve("a:1", cwd=tmp_path, env={variable: "x"})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('bootstap = "a:1"', "unknown key 'bootstap'", "did you mean 'bootstrap'?"),
        ("[kakfa]", "unknown key 'kakfa'", "did you mean 'kafka'?"),
        ("zzz = 1", "unknown key 'zzz'", "known are bootstrap, prefix, kafka"),
        ("bootstrap = 7", "'bootstrap' is not a text", ""),
        ('kafka = "x"', "'kafka' is not a table", ""),
        ("[kafka]\nx = [1]", "kafka property 'x'", ""),
        ("bootstrap = ", "cannot be read", ""),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsInvalid, match=message) as caught:
        resolve("a:1", cwd=tmp_path, env={})
    assert str(file) in str(caught.value)
    assert caught.value.hint == hint


@pytest.mark.parametrize("bootstrap", ["", "host", "host:", ":9092", "a:1,", "a:0", "a:65536"])
def test_a_bootstrap_that_is_no_list_of_servers_is_refused(bootstrap: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"is no list of host:port"):
        Settings(bootstrap)


@pytest.mark.parametrize("bootstrap", ["a:1", "a:1, b:2", "[::1]:9092", "PLAINTEXT://a:65535"])
def test_a_list_of_servers_is_accepted(bootstrap: str) -> None:
    assert Settings(bootstrap).bootstrap == bootstrap


@pytest.mark.parametrize("prefix", [".", "a.", "-a", "a b", "a_b", "ä", "a" * 61])
def test_a_prefix_that_no_topic_can_begin_with_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsInvalid, match="cannot begin the name of a topic"):
        Settings("a:1", prefix)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,58}[A-Za-z0-9])?", fullmatch=True))
def test_any_other_prefix_is_accepted(prefix: str) -> None:
    assert Settings("a:1", prefix).prefix == prefix
