"""The embedded Kafka as users meet it: up, status, down; failures; and the end of its owner."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.broker import cluster as cluster_module
from streams.broker import project, state
from streams.broker.cluster import ANY_PORT, Cluster
from streams.broker.ports import free_ports, is_open
from streams.errors import KafkaFailed
from streams.testing import Kafka

pytestmark = pytest.mark.integration

STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory; a Kafka left running in it is ended."""
    yield tmp_path
    for directory in [tmp_path, *(path for path in tmp_path.iterdir() if path.is_dir())]:
        if (running := state.read(directory)) and running.owner is None:
            project.down(directory)


def streams(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STREAMS, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def rows(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def topics(bootstrap: str) -> set[str]:
    return set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics)


def create(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic(topic, 3)]).values():
        created.result(20)


def write(bootstrap: str, topic: str) -> None:
    """Write one record with acks=all; raises if it is not delivered."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, b"x", on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(30) == 0
    assert failures == [None]


def test_up_status_down_and_up_again_with_the_same_data(home: Path) -> None:
    assert streams("kafka", "status", cwd=home).returncode == 4

    port = free_ports(1)[0]
    (first,) = rows(streams("kafka", "up", "--port", str(port), cwd=home))
    assert first["bootstrap"] == f"127.0.0.1:{port}"
    assert state.find_running(home) is not None
    create(first["bootstrap"], "kept")

    again = streams("kafka", "up", cwd=home)
    assert rows(again) == [first]
    assert "up already" in again.stderr

    below = home / "below"
    below.mkdir()
    assert rows(streams("kafka", "status", cwd=below)) == [first]
    assert streams("kafka", "up", "--brokers", "3", cwd=home).returncode == 5

    assert streams("kafka", "down", cwd=below).returncode == 0
    assert not is_open(port)
    assert streams("kafka", "status", cwd=home).returncode == 4
    down_again = streams("kafka", "down", cwd=home)
    assert down_again.returncode == 0
    assert "no embedded Kafka runs" in down_again.stderr

    (second,) = rows(streams("kafka", "up", cwd=home))
    assert second["cluster_id"] == first["cluster_id"]
    assert "kept" in topics(second["bootstrap"])
    streams("kafka", "down", cwd=home)

    (fresh,) = rows(streams("kafka", "up", "--fresh", cwd=home))
    assert fresh["cluster_id"] != first["cluster_id"]
    assert "kept" not in topics(fresh["bootstrap"])


def test_two_directories_at_once_get_two_clusters_and_one_directory_gets_one(home: Path) -> None:
    directories = [home / "a", home / "b", home / "b"]
    for directory in set(directories):
        directory.mkdir()
    runs = [
        subprocess.Popen([*STREAMS, "kafka", "up"], cwd=d, stdout=subprocess.PIPE, text=True)
        for d in directories
    ]
    a, b, b_again = (json.loads(run.communicate(timeout=60)[0]) for run in runs)
    assert b == b_again
    assert a["bootstrap"] != b["bootstrap"]
    assert a["cluster_id"] != b["cluster_id"]
    assert topics(a["bootstrap"]) == topics(b["bootstrap"]) == set()


def test_a_broker_killed_from_outside_is_seen_and_replaced_by_up(home: Path) -> None:
    (first,) = rows(streams("kafka", "up", cwd=home))
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: state.find_running(home) is None, "the record counts as stale")
    (second,) = rows(streams("kafka", "up", cwd=home))
    assert second["pid"] != first["pid"]
    assert second["cluster_id"] == first["cluster_id"]


OWNER = """
import sys, time
from pathlib import Path
from streams.broker import project
with project.joined(Path(sys.argv[1]), project.Wanted(port=int(sys.argv[2]))) as running:
    print(running.brokers[0].pid, flush=True)
    time.sleep(600)
"""


def test_a_cluster_ends_with_its_owner_even_if_that_is_killed(home: Path) -> None:
    port = free_ports(1)[0]
    command = [sys.executable, "-c", OWNER, str(home), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert int(owner.stdout.readline()) > 0
        assert state.find_running(home) is not None
        assert streams("kafka", "down", cwd=home).returncode == 5
        assert is_open(port)
        owner.kill()
    until(lambda: not is_open(port), "the broker is gone")
    until(lambda: state.find_running(home) is None, "the record counts as stale")


def test_an_up_that_is_killed_while_it_starts_leaves_no_broker(home: Path) -> None:
    port = free_ports(1)[0]
    with subprocess.Popen([*STREAMS, "kafka", "up", "--port", str(port)], cwd=home) as run:
        log = home / ".streams" / "kafka" / "broker-1" / "broker.log"
        until(log.exists, "the broker's process is being started")
        run.kill()
    mark = str(home / ".streams" / "kafka" / "broker-")
    until(lambda: not processes(mark), "no process of this cluster is left")
    assert rows(streams("kafka", "up", cwd=home))[0]["state"] == "running"


def processes(mark: str) -> list[int]:
    """The processes whose command line contains ``mark``."""
    found = psutil.process_iter(["cmdline"])
    return [p.pid for p in found if mark in " ".join(p.info["cmdline"] or ())]


def test_a_cluster_of_the_tests_kit_leaves_nothing_when_its_process_is_killed(
    tmp_path: Path,
) -> None:
    code = (
        "import time; from streams.testing import Kafka\n"
        "with Kafka() as kafka: print(kafka.bootstrap, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline().rpartition(":")[2])
        assert list(tmp_path.glob("streams-kafka-*/data/broker-1"))
        owner.kill()
    until(lambda: not is_open(port), "the broker is gone")
    until(lambda: not list(tmp_path.glob("streams-kafka-*")), "the data are gone")


async def started_and_left() -> int:
    async with Kafka() as kafka:
        create(kafka.bootstrap, "asynchronous")
        return int(kafka.bootstrap.rpartition(":")[2])


def test_the_tests_kit_works_in_async_code() -> None:
    import asyncio

    assert not is_open(asyncio.run(started_and_left()))


def test_a_port_lost_before_the_broker_listens_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lost = [server.getsockname()[1]]
        monkeypatch.setattr(
            cluster_module,
            "free_ports",
            lambda count, first=None: [lost.pop()] if lost else free_ports(count, first),
        )
        cluster = Cluster(tmp_path, port=ANY_PORT)
        cluster.start()
        try:
            assert lost == []
            assert not cluster.bootstrap.endswith(f":{server.getsockname()[1]}")
            create(cluster.bootstrap, "somewhere-else")
        finally:
            cluster.kill_all()


def test_a_broker_that_cannot_start_shows_its_log_and_where_it_is(tmp_path: Path) -> None:
    first = Cluster(tmp_path / "data", port=ANY_PORT)
    first.start()
    first.stop()
    shutil.rmtree(tmp_path / "data" / "broker-1" / "data" / "__cluster_metadata-0")
    (tmp_path / "data" / "broker-1" / "data" / "__cluster_metadata-0").write_text("no directory")
    with pytest.raises(KafkaFailed, match=r"broker 1 ended with exit code 1.*\n.*ERROR") as caught:
        Cluster(tmp_path / "data", port=ANY_PORT).start()
    assert str(tmp_path / "data" / "broker-1" / "broker.log") in caught.value.hint


@pytest.fixture(scope="module")
def three() -> Iterator[Kafka]:
    with Kafka(brokers=3) as kafka:
        yield kafka


def test_three_brokers_lose_one_and_get_it_back(three: Kafka) -> None:
    create(three.bootstrap, "replicated")
    write(three.bootstrap, "replicated")
    before = three.pid(2)
    three.kill(2)
    write(three.bootstrap, "replicated")
    with pytest.raises(KafkaFailed, match="broker 2 does not run"):
        three.pause(2)

    three.restart(2)
    assert three.pid(2) != before

    def in_sync() -> bool:
        metadata = AdminClient({"bootstrap.servers": three.bootstrap}).list_topics(timeout=10)
        partitions = metadata.topics["replicated"].partitions.values()
        return all(sorted(p.isrs) == [1, 2, 3] for p in partitions)

    until(in_sync, "all replicas are in sync again")


def test_a_paused_broker_is_voted_out_and_comes_back(three: Kafka) -> None:
    first = three.bootstrap.split(",")[0]

    def members() -> list[int]:
        # A new client knows the first broker only. One that has met all three may ask the
        # paused one, and then waits for that answer with every later question too.
        admin = AdminClient({"bootstrap.servers": first})
        try:
            return sorted(admin.list_topics(timeout=5).brokers)
        except KafkaException:
            return []

    until(lambda: members() == [1, 2, 3], "three brokers serve")
    three.pause(3)
    until(lambda: members() == [1, 2], "the paused broker is fenced")
    three.resume(3)
    until(lambda: members() == [1, 2, 3], "the resumed broker serves again")
