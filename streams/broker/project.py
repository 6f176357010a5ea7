"""The cluster of a project directory: started once, found by every command, ended once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streams.broker import process, state
from streams.broker.cluster import ELSEWHERE, STOP_GRACE_S, Cluster, Identity, mark_of
from streams.broker.config import HOST
from streams.broker.files import exclusive, writing
from streams.broker.jars import KAFKA_VERSION
from streams.broker.state import Broker, Running
from streams.errors import KafkaRunning, SettingsInvalid

_ELSEWHERE = f"a Kafka is recorded in {state.HOME} of the working directory: choose another one"
_OURS = re.compile(r"\.?cluster\.json|broker-\d+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a cluster; None takes what the data hold, or the default.

    ``data`` defaults to ``.streams/kafka`` of the project; ``fresh`` wipes it first.
    """

    brokers: int | None = None
    port: int | None = None
    data: Path | None = None
    fresh: bool = False


def up(directory: Path, wanted: Wanted) -> tuple[Running, bool]:
    """A cluster that goes on after this process, and whether this call started it.

    One that runs already is left as it is. Raises KafkaRunning if it is not what is wanted,
    KafkaFailed if it does not start, or runs without one of its brokers.
    """
    running, cluster = _find_or_start(directory, wanted, owned=False)
    if cluster is None:
        running.check()
    return running, cluster is not None


@contextmanager
def joined(directory: Path, wanted: Wanted) -> Generator[Running, None, None]:
    """The cluster that runs already, or one that ends with this process, even if it is killed."""
    running, cluster = _find_or_start(directory, wanted, owned=True)
    try:
        yield running
    finally:
        if cluster is not None:
            try:
                cluster.stop()
            finally:
                state.remove(directory)


def down(directory: Path) -> Running | None:
    """End the cluster of this directory or a parent; the ended one, None if none ran.

    Raises KafkaRunning if it belongs to a process that still uses it.
    """
    home = state.find_home(directory)
    running = None if home is None else state.read(home)
    if home is None or running is None:
        return None
    if running.owner is not None:
        raise KafkaRunning(
            f"the Kafka at {running.bootstrap} belongs to process {running.owner}",
            hint="it ends with that process (Ctrl-C there)",
        )
    mark = mark_of(Path(running.data))
    process.end([broker.pid for broker in running.brokers], mark, grace_s=STOP_GRACE_S)
    state.remove(home)
    return running


def _find_or_start(
    directory: Path, wanted: Wanted, *, owned: bool
) -> tuple[Running, Cluster | None]:
    """The cluster of a directory, with its Cluster only if this call started it."""
    if running := _joinable(directory, wanted):
        return running, None
    lock = directory / state.HOME / "kafka.lock"
    with exclusive(lock, "another process starts a Kafka here", _ELSEWHERE):
        if running := _joinable(directory, wanted):  # another process was first
            return running, None
        cluster = _start(directory, wanted)
        running = _record(directory, cluster, owner=os.getpid() if owned else None)
        if not owned:
            cluster.release()  # only now: killed before, this process leaves no stray brokers
        return running, cluster


def _joinable(directory: Path, wanted: Wanted) -> Running | None:
    running = state.find_running(directory)
    if running is None:
        return None
    count = len(running.brokers)
    ports = [int(broker.address.rpartition(":")[2]) for broker in running.brokers]
    for fits, what in (
        (not wanted.fresh, "its data cannot be wiped"),
        (wanted.brokers in (None, count), f"it has {count} broker(s)"),
        (wanted.port in (None, ports[0]), f"its port is {ports[0]}"),
        (wanted.data is None or str(wanted.data.resolve()) == running.data, "its data differ"),
    ):
        if not fits:
            raise KafkaRunning(
                f"a Kafka runs here already, at {running.bootstrap}: {what}",
                hint="end it first: streams kafka down",
            )
    return running


def _start(directory: Path, wanted: Wanted) -> Cluster:
    data = wanted.data or directory / state.HOME / "kafka"
    if wanted.fresh:
        _wipe(data)
    cluster = Cluster(data, wanted.brokers, port=wanted.port)
    cluster.start()
    return cluster


def _wipe(data: Path) -> None:
    if not data.exists():
        return
    with writing(data, ELSEWHERE):
        if not _is_kafka(data):
            raise SettingsInvalid(
                f"{data} is not wiped: it holds something else than a Kafka of this package",
                hint="choose another --data, or empty it yourself",
            )
        shutil.rmtree(data)


def _is_kafka(data: Path) -> bool:
    """Whether a directory holds a cluster, even a damaged one, or nothing."""
    try:
        if Identity.of(data) is not None:
            return True
    except SettingsInvalid:
        pass  # it may be somebody else's cluster.json
    return all(_OURS.fullmatch(path.name) for path in data.iterdir())


def _record(directory: Path, cluster: Cluster, *, owner: int | None) -> Running:
    pids = cluster.pids
    running = Running(
        bootstrap=cluster.bootstrap,
        brokers=tuple(
            Broker(node.id, f"{HOST}:{node.port}", pids[node.id], str(node.log))
            for node in cluster.nodes
        ),
        data=str(cluster.data),
        cluster_id=cluster.cluster_id,
        version=KAFKA_VERSION,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        owner=owner,
    )
    with writing(directory / state.HOME, _ELSEWHERE):
        state.write(directory, running)
    return running
