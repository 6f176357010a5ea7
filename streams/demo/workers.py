"""The worker processes of the demo: started, killed with work in their hands, started again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streams.core.offsets import CompletionMap, decode
from streams.errors import WorkerDied
from streams.ports import Log
from streams.topics import Topics

STOP_GRACE_S = 10.0
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker has in its hands: its partitions of a pool, the tasks unfinished in them."""

    partitions: frozenset[int]
    unfinished: int


class WorkerProcess:
    """One slot of the fleet and the process that is in it; it ends with this process."""

    def __init__(self, slot: str, files: Sequence[Path], log: Path) -> None:
        self.slot = slot
        self._files = files
        self._log = log
        self._bootstrap = ""
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                # -P: a folder named "streams" in the current directory is not this package
                [sys.executable, "-P", "-m", "streams.demo.worker", slot, *map(str, files)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # a Ctrl-C is for the owner
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self, bootstrap: str) -> None:
        """Tell it where the broker is; then it joins the groups of its agents."""
        assert self._process.stdin is not None
        self._bootstrap = bootstrap
        self.check()
        self._process.stdin.write(f"{bootstrap}\n".encode())
        self._process.stdin.flush()

    def again(self) -> WorkerProcess:
        """The next process of the slot, at once."""
        following = WorkerProcess(self.slot, self._files, self._log)
        following.connect(self._bootstrap)
        return following

    def check(self) -> None:
        """WorkerDied, with the end of its log, if it has ended by itself."""
        code = self._process.poll()
        if code is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            raise WorkerDied(
                "\n".join([f"worker {self.slot} ended with exit code {code}:", *lines]),
                hint="the same on its own: streams dev",
            )

    def pause(self) -> None:
        """SIGSTOP: what it holds does not change any more."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; one that is gone already is no error."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def stop(self) -> None:
        """SIGTERM: it drains, leaves and ends; killed if that takes longer than STOP_GRACE_S."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_GRACE_S)
        self.kill()


def held(log: Log, topics: Topics, pool: str, slot: str) -> Held:
    """What the slot holds of a pool, as the group and its committed maps say; blocks."""
    admin, group, topic = log.admin(), topics.group(pool), topics.tasks(pool)
    found = admin.group(group)
    owned = [
        partition
        for member in found.members
        if member.instance_id == slot and found.state == "stable"
        for _, partition in member.partitions
    ]
    if not owned:
        return Held(frozenset(), 0)
    # Not only the stable offsets: an open transaction of the slot ends with it.
    committed = admin.committed(group, topic, owned, stable=False)
    bounds = admin.bounds(topic, owned)
    unfinished = 0
    for partition in owned:
        last = committed[partition]
        done = CompletionMap(0, 0) if last is None else decode(last.offset, last.metadata)
        unfinished += len(done.incomplete) + bounds[partition].end - done.high
    return Held(frozenset(owned), unfinished)
