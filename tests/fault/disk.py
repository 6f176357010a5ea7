"""A broker whose data are on a small disk of their own, which is filled and freed again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.broker.config import Node
from streams.broker.process import is_alive
from streams.testing import Kafka
from streams.verify import Violation, check
from tests.integration.fleet import Fleet

from .fault import ScenarioOutcome

SIZE_MB = 256
"""Far less than a segment of the log: room for what a test writes, and soon full."""
COMMAND_TIMEOUT_S = 10
GIVES_UP_S = 30.0
"""How long a broker may take to find out that it cannot write; it ends then."""
TASKS = 1_500
MORE = 100
_CHUNK = bytes(1024 * 1024)


class Disk:
    """A disk in memory for the data of one broker, there inside ``with``.

    ``broker`` is its number, from 1. Raises CalledProcessError.
    """

    def __init__(self, broker: int = 1, size_mb: int = SIZE_MB) -> None:
        self._broker = broker
        self._size_mb = size_mb
        self.path = Path()
        """Where it is mounted."""

    def properties(self, node: Node) -> dict[str, str]:
        """Settings that put the data of that one broker onto this disk."""
        return {"log.dirs": str(self.path / "data")} if node.id == self._broker else {}

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def fill(self) -> None:
        """Leave no room: whoever writes next is refused."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while ballast.write(_CHUNK):
                pass

    def free(self) -> None:
        """Take away what ``fill`` put there."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def __enter__(self) -> Self:
        self.path = Path(tempfile.mkdtemp(prefix="streams-disk-"))
        try:
            _run("mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m", "tmpfs", str(self.path))
        except BaseException:
            self.path.rmdir()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Lazily: a broker that is ending may still have files open on it.
        _run("umount", "--lazy", str(self.path))
        self.path.rmdir()


class FullDisk:
    """Implements ``Scenario``: the disk of one broker is filled under load, and freed again."""

    expected = (
        "a broker whose disk is full ends; workers wait or go on with the others; "
        "with room again and the broker restarted every task ends, none was lost"
    )

    def __init__(self, brokers: int = 1) -> None:
        self.name = f"full-disk-of-{brokers}"
        self.needs = needs()
        self._brokers = brokers

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        scratch.mkdir(parents=True, exist_ok=True)
        with Disk() as disk, Kafka(self._brokers, properties=disk.properties) as kafka:
            fleet = Fleet(kafka.bootstrap, "disk", scratch)
            try:
                violations = self._strike(fleet, kafka, disk)
                report = check(fleet.log, fleet.topics, fleet.submitted, pools=[fleet.agent.name])
                found = [*violations, *report.violations]
                return ScenarioOutcome(self.expected, found, report.accepted)
            except AssertionError as late:
                return ScenarioOutcome(self.expected, [Violation("I13", str(late), "")])
            finally:
                with (scratch / "workers.log").open("w") as said:
                    fleet.close(said)

    def _strike(self, fleet: Fleet, kafka: Kafka, disk: Disk) -> list[Violation]:
        fleet.apply()
        members = [fleet.start(slot, ready=True) for slot in ("a", "b")]
        fleet.submit([{"number": n, "seconds": 0.3} for n in range(TASKS)])
        fleet.until(lambda: len(fleet.results) >= 100, "workers are at work")
        pid = kafka.pid(1)
        disk.fill()
        fleet.until(lambda: not is_alive(pid, "kafka.Kafka"), "the broker ends", GIVES_UP_S)
        disk.free()
        kafka.restart(1)
        fleet.submit([{"number": n, "seconds": 0.05} for n in range(TASKS, TASKS + MORE)])
        fleet.until_answered(60)
        return [
            Violation("I13", f"the worker ended with {member.code}", member.slot)
            for member in members
            if member.code is not None
        ]


def needs() -> str | None:
    """What keeps a disk from being mounted here, None if nothing does."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        with Disk(size_mb=1):
            return None
    except (OSError, subprocess.SubprocessError) as error:
        return f"needs the right to mount a tmpfs: {error}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_TIMEOUT_S)
