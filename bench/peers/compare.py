"""The section that measures the peers, each in turn with this project and the bare loop.

What is compared is in one class: a task that was acknowledged survives the end of its store's
process, or of its machine too. Within a class systems may promise more or less about running
a task: the table says it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

import psutil

from bench.own import BARE, CPU, PLAIN, SPINE, TASKS_S, WARM_UP_PART, Bench, once
from bench.peers.stores import PARTITIONS, REDIS_MISSING, Topics, redis, redis_server
from bench.processes import ROOT
from bench.series import Series, interleaved

BIN = ROOT / ".venv-bench" / "bin"
LOOK_S = 0.02
LIMIT_S = 180
END_S = 10
SLOW_PART = 5
EXACTLY, AT_LEAST = "exactly once", "at least once"


@dataclass(frozen=True, slots=True)
class Durability:
    """What an acknowledged task survives, and the stores' settings for it."""

    name: str
    redis_fsync: str
    kafka: dict[str, str]


PROCESS = Durability("survives its store's process", "everysec", {})
MACHINE = Durability("survives its machine", "always", {"log.flush.interval.messages": "1"})


@dataclass(frozen=True, slots=True)
class Peer:
    """How a system is started, and what it promises."""

    adapter: str
    store: str
    promise: str
    worker: str
    """Its command line."""
    part: int = SLOW_PART
    """It gets this part of the tasks, so that all take about as long."""


CELERY = "celery -A bench.peers.celery worker --pool solo -l ERROR"
QUIET = "--without-gossip --without-mingle --without-heartbeat"
DRAMATIQ = "dramatiq bench.peers.dramatiq --processes 1 --skip-logging"
TASKIQ = "taskiq worker bench.peers.taskiq:broker --workers 1 --max-async-tasks 1000"
FAUST = "faust -A bench.peers.faust -L uvloop worker -l ERROR --without-web"
FASTSTREAM = "python -m bench.peers.faststream"
PEERS = {
    "Celery": Peer("celery", "Redis", AT_LEAST, f"{CELERY} {QUIET}"),
    "Dramatiq": Peer("dramatiq", "Redis", AT_LEAST, DRAMATIQ),
    "Taskiq": Peer("taskiq", "Redis", AT_LEAST, f"{TASKIQ} --log-level ERROR"),
    "Faust": Peer("faust", "Kafka", AT_LEAST, FAUST),
    "FastStream": Peer("faststream", "Kafka", AT_LEAST, FASTSTREAM),
    "FastStream, batches": Peer("faststream", "Kafka", AT_LEAST, f"{FASTSTREAM} batches", 1),
}
PROMISES = {SPINE: EXACTLY, BARE: EXACTLY, PLAIN: AT_LEAST} | {
    name: peer.promise for name, peer in PEERS.items()
}
STORES = {SPINE: "Kafka", BARE: "Kafka", PLAIN: "Kafka"} | {
    name: peer.store for name, peer in PEERS.items()
}


class Store(Protocol):
    """Where a peer's tasks wait and its results go."""

    url: str

    def results(self) -> int: ...


def peers(bench: Bench, durability: Durability) -> Iterator[Series]:
    """All systems that can run here: no-op tasks per second and CPU of each."""
    systems = [SPINE, BARE, PLAIN]
    systems += [name for name, peer in PEERS.items() if peer.store == "Kafka" or redis_server()]
    if not redis_server():
        print(REDIS_MISSING, file=sys.stderr)

    def measure(system: str, run: int) -> dict[str, float]:
        tasks = bench.tasks if run else bench.tasks // WARM_UP_PART
        prefix = bench.prefix("peers", system, run)
        if system in PEERS:
            return _peer(bench, PEERS[system], prefix, tasks, durability)
        return once(bench.bootstrap, system, prefix, tasks, PARTITIONS)

    yield from interleaved(systems, durability.name, bench.runs, measure)


def _peer(
    bench: Bench, peer: Peer, group: str, tasks: int, durability: Durability
) -> dict[str, float]:
    tasks //= peer.part
    with ExitStack() as stack:
        store: Store
        if peer.store == "Redis":
            store = stack.enter_context(redis(durability.redis_fsync))
            load = [BIN / "python", "-m", f"bench.peers.{peer.adapter}", str(tasks)]
            around = _environment(store, group)
            subprocess.run(load, cwd=ROOT, env=around, check=True, timeout=LIMIT_S)
        else:
            topics = Topics(bench.bootstrap, group, tasks)
            stack.callback(topics.close)
            store = topics
        return _work(peer, store, group, tasks)


def _work(peer: Peer, store: Store, group: str, tasks: int) -> dict[str, float]:
    """Start the worker, and watch the results come until the last one is there."""
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder:
        log = open(f"{folder}/log", "w+")  # noqa: SIM115
        program, *rest = peer.worker.split()
        worker = subprocess.Popen(
            [BIN / program, *rest],
            cwd=ROOT,
            env=_environment(store, group) | {"F_DATADIR": folder},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _watch(worker, store, tasks)
        except TimeoutError as error:
            log.seek(0)
            raise RuntimeError(f"{peer.adapter}: {error}; its worker said: {log.read()}") from error
        finally:
            _end(worker)
            log.close()


def _watch(worker: subprocess.Popen[bytes], store: Store, tasks: int) -> dict[str, float]:
    until = time.monotonic() + LIMIT_S
    first: tuple[float, int, float] | None = None
    while True:
        done, now = store.results(), time.monotonic()
        if done and first is None:
            first = (now, done, tree_cpu_s(worker.pid))
        if done >= tasks:
            break
        if now > until or worker.poll() is not None:
            raise TimeoutError(f"{done} results of {tasks} tasks")
        time.sleep(LOOK_S)
    assert first is not None
    began, before, cpu_before = first
    counted = max(1, done - before)
    return {
        TASKS_S: counted / max(now - began, LOOK_S),
        CPU: (tree_cpu_s(worker.pid) - cpu_before) / counted * 1e6,
    }


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and all that it started, as far as they still run."""
    root = psutil.Process(pid)
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return total


def _environment(store: Store, group: str) -> dict[str, str]:
    path = f"{BIN}:{os.environ['PATH']}"
    return os.environ | {"BENCH_URL": store.url, "BENCH_NAME": group, "PATH": path}


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker's whole session: nothing more is asked of it, so without grace."""
    # Also when the worker itself has ended: what it started may go on.
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(END_S)
