"""A directory in which ``streams`` is typed: every command a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]
PATIENCE_S = 60.0
AGENTS = Path(__file__).with_name("agents_of_a_shop.py").read_text(encoding="utf-8")


@dataclass
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.rows
        return row


class Place:
    """A directory with agents, and a deployment of its own on the broker of the run."""

    def __init__(self, directory: Path, bootstrap: str) -> None:
        self.directory = directory
        self.bootstrap = bootstrap
        self.prefix = f"cli-{uuid.uuid4().hex[:8]}"
        self._env = os.environ | {
            "STREAMS_BOOTSTRAP": bootstrap,
            "STREAMS_PREFIX": self.prefix,
            "NO_COLOR": "1",
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        (directory / "agents.py").write_text(AGENTS)

    def run(self, *words: str, code: int | None = 0, stdin: str = "") -> Ran:
        """Run ``streams`` with these words; unless ``code`` is None it must end with it."""
        ran = subprocess.run(
            [*STREAMS, *words],
            cwd=self.directory,
            env=self._env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert code is None or ran.returncode == code, f"{words}: {ran}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker; its stderr goes to ``worker.log``."""
        with (self.directory / "worker.log").open("ab") as log:
            return self.spawn("worker", "run", "agents.py", *options, stderr=log)

    def spawn(self, *words: str, **files: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start ``streams`` with these words; it is ended with the test."""
        process = subprocess.Popen([*STREAMS, *words], cwd=self.directory, env=self._env, **files)
        self.processes.append(process)
        return process

    @property
    def log(self) -> str:
        return (self.directory / "worker.log").read_text()

    def at_work(self, slot: str) -> dict[str, Any]:
        """Wait until the worker in a slot runs and owns all partitions of both agents."""
        return self.until(
            lambda: next(
                (
                    row
                    for row in self.run("worker", "list").rows
                    if (row["worker"], row["state"], row["partitions"]) == (slot, "running", 6)
                ),
                None,
            )
        )

    def until(self, look: Callable[[], Any]) -> Any:
        """What ``look`` returns once that is something; fails after PATIENCE_S."""
        end = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < end, f"it did not come: {look}"
            time.sleep(0.2)
        return found

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
