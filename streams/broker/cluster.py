"""A Kafka cluster of one or three brokers as processes of this machine."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from streams.broker import process
from streams.broker.config import (
    BROKERS_ALLOWED,
    HOST,
    STARTED,
    Node,
    Properties,
    java_command,
    write_properties,
)
from streams.broker.jars import classpath
from streams.broker.ports import free_ports, is_free, is_open
from streams.broker.watchdog import RELEASE
from streams.errors import KafkaFailed, SettingsInvalid

PORT = 9092
ANY_PORT = 0

_START_TIMEOUT_S = 60
_FORMAT_TIMEOUT_S = 60
STOP_GRACE_S = 15
_POLL_S = 0.05
_START_TRIES = 3  # a free port may be taken by another before the broker listens
_LOG_TAIL_LINES = 15
_PORT_LOST = "Address already in use"
_HEAP_MB = {1: 512, 3: 384}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a data directory is: written before the first format, kept for its life."""

    cluster_id: str
    brokers: int

    @staticmethod
    def of(data: Path) -> Identity | None:
        """The identity of a data directory, None if it holds no cluster."""
        try:
            fields = json.loads((data / "cluster.json").read_text())
        except FileNotFoundError:
            return None
        return Identity(str(fields["cluster_id"]), int(fields["brokers"]))

    @staticmethod
    def create(data: Path, brokers: int) -> Identity:
        # Kafka's form of a UUID; a leading '-' would look like an option to its tools.
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        identity = Identity("A" + text[1:], brokers)
        data.mkdir(parents=True, exist_ok=True)
        part = data / ".cluster.json"
        part.write_text(json.dumps({"cluster_id": identity.cluster_id, "brokers": brokers}))
        os.replace(part, data / "cluster.json")
        return identity


class Cluster:
    """One or three KRaft brokers on the data in ``data``, which survives stops and starts.

    ``port`` is the first broker's; None is 9092 or the next free one, ``ANY_PORT`` any free
    one. The brokers end with this process, even if it is killed, until ``release`` lets them
    go. ``scratch`` (a directory) is removed when they end. ``properties`` are broker settings
    over the package's own, or a function that gives them for each node. Broker numbers count from
    1. Methods raise KafkaFailed with the end of the broker's log.
    """

    def __init__(
        self,
        data: Path,
        brokers: int | None = None,
        *,
        port: int | None = None,
        scratch: Path | None = None,
        properties: Properties | None = None,
    ) -> None:
        self.data = data.resolve()
        self._wanted = brokers
        self._port = port
        self._scratch = scratch
        self._properties: Properties = properties or {}
        self._nodes: dict[int, Node] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._jars: list[Path] = []
        self.cluster_id = ""

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, separated by commas."""
        return ",".join(f"{HOST}:{node.port}" for node in self._nodes.values())

    @property
    def nodes(self) -> Sequence[Node]:
        return tuple(self._nodes.values())

    @property
    def pids(self) -> dict[int, int]:
        """Process id by broker number."""
        return {n: process.pid for n, process in self._processes.items()}

    def start(self) -> None:
        """Format what is not formatted, start all brokers, and return when they serve."""
        self._watchdog = self._start_watchdog()
        try:
            self._check_port()
            identity = self._identity()
            self.cluster_id = identity.cluster_id
            self._jars = classpath()
            for left in reversed(range(1 if self._port else _START_TRIES)):
                self._nodes = self._choose_nodes(identity.brokers)
                if self._start_all(last=left == 0):
                    return
        except BaseException:
            self.kill_all()
            raise

    def stop(self) -> None:
        """End all brokers cleanly, and with SIGKILL after 15 s, or at once when interrupted."""
        try:
            process.end(self.pids.values(), self._mark, grace_s=STOP_GRACE_S)
        finally:
            self.kill_all()

    def kill_all(self) -> None:
        """End all brokers at once, as a power cut would."""
        for n in list(self._processes):
            self.kill(n)
        self._end_watchdog(b"")

    def release(self) -> None:
        """Let the brokers go on after this process, until somebody ends them."""
        self._end_watchdog(RELEASE)

    def kill(self, n: int) -> None:
        """SIGKILL broker ``n`` and wait until it is gone."""
        broker = self._processes.pop(n, None)
        if broker is not None:
            broker.kill()
            broker.wait()

    def pause(self, n: int) -> None:
        """SIGSTOP broker ``n``: it stays connected and does nothing."""
        self._running(n).send_signal(signal.SIGSTOP)

    def resume(self, n: int) -> None:
        """SIGCONT broker ``n``."""
        self._running(n).send_signal(signal.SIGCONT)

    def restart(self, n: int) -> None:
        """Start broker ``n`` again on its port and data, killing it first if it runs."""
        node = self._nodes[n]
        self.kill(n)
        offset = self._spawn(node)
        self._wait_started(node, offset)

    def _identity(self) -> Identity:
        if self._wanted is not None and self._wanted not in BROKERS_ALLOWED:
            raise SettingsInvalid(
                f"{self._wanted} brokers: a cluster has one or three", hint="choose 1 or 3"
            )
        found = Identity.of(self.data)
        if found is None:
            return Identity.create(self.data, self._wanted or 1)
        if self._wanted not in (None, found.brokers):
            raise SettingsInvalid(
                f"{self.data} holds a cluster of {found.brokers} broker(s), not {self._wanted}",
                hint="--fresh wipes the data; --data DIR keeps another cluster beside it",
            )
        return found

    def _check_port(self) -> None:
        if self._port and not is_free(self._port):
            raise KafkaFailed(
                f"port {self._port} is in use",
                hint="choose another, or none: then the next free one is taken",
            )

    def _choose_nodes(self, brokers: int) -> dict[int, Node]:
        first = PORT if self._port is None else self._port
        ports = free_ports(brokers, first or None)
        controllers = [port for port in free_ports(brokers * 2) if port not in ports]
        return {
            n: Node(n, ports[n - 1], controllers[n - 1], self.data / f"broker-{n}")
            for n in range(1, brokers + 1)
        }

    def _start_all(self, *, last: bool) -> bool:
        """Start every node; False if one lost its port to another process."""
        for node in self.nodes:
            given = self._properties
            write_properties(node, self.nodes, given(node) if callable(given) else given)
        self._format()
        offsets = {node.id: self._spawn(node) for node in self.nodes}
        try:
            for node in self.nodes:
                self._wait_started(node, offsets[node.id])
        except KafkaFailed as error:
            if last or _PORT_LOST not in error.message:
                raise
            for node in self.nodes:
                self.kill(node.id)
            return False
        return True

    def _format(self) -> None:
        """Format all unformatted nodes side by side: each is a second of Java."""
        tool = ("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c")
        formats = [
            subprocess.Popen(
                java_command(self._jars, 128, *tool, str(node.properties)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for node in self.nodes
            if not node.formatted
        ]
        for run in formats:
            output, _ = run.communicate(timeout=_FORMAT_TIMEOUT_S)
            if run.returncode:
                raise KafkaFailed(
                    f"Kafka's storage tool could not format {self.data}:\n{output.strip()}",
                    hint="--fresh wipes the data",
                )

    def _spawn(self, node: Node) -> int:
        """Start the broker's process; returns where in its log this start begins."""
        command = java_command(
            self._jars, _HEAP_MB[len(self._nodes)], "kafka.Kafka", str(node.properties)
        )
        with node.log.open("ab") as log:
            offset = log.tell()
            # The shell says its process id to the watchdog, then becomes the broker: the end of
            # the pipe cannot be reached before the id is in it, whenever the owner dies.
            self._processes[node.id] = subprocess.Popen(
                ["/bin/sh", "-c", 'echo $$; exec "$@" >&2', "broker", *command],
                stdin=subprocess.DEVNULL,
                stdout=self._announce_to(log),
                stderr=log,
                cwd=node.home,
                start_new_session=True,
            )
        return offset

    def _announce_to(self, log: IO[bytes]) -> IO[bytes]:
        if self._watchdog is None or self._watchdog.stdin is None:
            return log
        return self._watchdog.stdin

    def _wait_started(self, node: Node, offset: int) -> None:
        broker = self._processes[node.id]
        until = time.monotonic() + _START_TIMEOUT_S
        while not (STARTED in _read_from(node.log, offset) and is_open(node.port)):
            with suppress(subprocess.TimeoutExpired):
                broker.wait(_POLL_S)
                raise _failed(node, offset, f"ended with exit code {broker.returncode}")
            if time.monotonic() > until:
                raise _failed(node, offset, f"did not serve within {_START_TIMEOUT_S} s")

    def _end_watchdog(self, last_words: bytes) -> None:
        if self._watchdog is not None:
            self._watchdog.communicate(last_words)
            self._watchdog = None

    def _start_watchdog(self) -> subprocess.Popen[bytes]:
        scratch = [] if self._scratch is None else [str(self._scratch)]
        return subprocess.Popen(
            # -P: a folder named "streams" in the current directory is not this package
            [sys.executable, "-P", "-m", "streams.broker.watchdog", self._mark, *scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the owner, which ends the brokers last
        )

    @property
    def _mark(self) -> str:
        return mark_of(self.data)

    def _running(self, n: int) -> subprocess.Popen[bytes]:
        broker = self._processes.get(n)
        if broker is None or broker.poll() is not None:
            raise KafkaFailed(f"broker {n} does not run", hint=f"restart({n}) starts it again")
        return broker


def mark_of(data: Path) -> str:
    """What the command line of every broker on this data contains."""
    return str(data / "broker-")


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def _failed(node: Node, offset: int, what: str) -> KafkaFailed:
    lines = _read_from(node.log, offset).splitlines()
    told = [line for line in lines if not line.startswith("\tat ")][-_LOG_TAIL_LINES:]
    return KafkaFailed(
        "\n".join([f"broker {node.id} {what}; its log ends with:", *told]),
        hint=f"the whole log is {node.log}",
    )
