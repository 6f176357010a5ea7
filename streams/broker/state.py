"""The record of a running cluster, ``.streams/kafka.json``: where every command finds it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from streams.broker.cluster import mark_of
from streams.errors import KafkaFailed
from streams.processes import is_alive, is_stopped

HOME = ".streams"
_FILE = "kafka.json"

BrokerState = Literal["running", "stopped", "dead"]


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker of a recorded cluster; ``log`` is the file it prints to."""

    id: int
    address: str
    pid: int
    log: str


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster as it was recorded when it started (``started_at`` in ISO 8601, UTC).

    ``owner`` is the process it ends with, None if only ``streams kafka down`` ends it.
    """

    bootstrap: str
    brokers: tuple[Broker, ...]
    data: str
    cluster_id: str
    version: str
    started_at: str
    owner: int | None

    def state(self, broker: Broker) -> BrokerState:
        if not is_alive(broker.pid, mark_of(Path(self.data))):
            return "dead"
        return "stopped" if is_stopped(broker.pid) else "running"

    @property
    def alive(self) -> bool:
        """Whether any of its brokers still runs."""
        return any(self.state(broker) != "dead" for broker in self.brokers)

    def check(self) -> None:
        """KafkaFailed, naming its log, for the first broker that is dead or stopped."""
        for broker in self.brokers:
            found = self.state(broker)
            if found == "stopped":
                hint = f"kill -CONT {broker.pid}"
            elif self.owner is None:
                hint = "streams kafka down, then streams kafka up"
            else:
                hint = f"end process {self.owner}, with which it ends, and start it again"
            if found != "running":
                raise KafkaFailed(
                    f"broker {broker.id} of the Kafka at {self.bootstrap} is {found}; "
                    f"its log is {broker.log}",
                    hint=hint,
                )


def path_in(directory: Path) -> Path:
    """Where the record of a cluster started in ``directory`` is."""
    return directory / HOME / _FILE


def write(directory: Path, running: Running) -> None:
    """Record a cluster: a reader sees the old record or the new one, never a part."""
    path = path_in(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(asdict(running), indent=2) + "\n")
    os.replace(part, path)


def remove(directory: Path) -> None:
    path_in(directory).unlink(missing_ok=True)


def read(directory: Path) -> Running | None:
    """The cluster recorded in ``directory``, alive or not; None without a usable record."""
    try:
        fields: dict[str, Any] = json.loads(path_in(directory).read_text())
        brokers = tuple(Broker(**broker) for broker in fields.pop("brokers"))
        return Running(brokers=brokers, **fields)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None  # none, or of another version of this package


def find_home(start: Path) -> Path | None:
    """The nearest directory, ``start`` or a parent of it, with the record of a live cluster."""
    start = start.resolve()
    for directory in (start, *start.parents):
        running = read(directory)
        if running is not None and running.alive:
            return directory
    return None


def find_running(start: Path) -> Running | None:
    """The live cluster recorded nearest to ``start``; records of dead ones are passed over."""
    home = find_home(start)
    return None if home is None else read(home)
