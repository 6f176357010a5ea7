"""The worker processes of the demo: started, killed with work in their hands, started again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streams.core.offsets import CompletionMap, decode
from streams.errors import WorkerDied
from streams.ports import GroupInfo, Log
from streams.topics import Topics

STOP_GRACE_S = 10.0
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Held:
    """What a slot has in its hands: its partitions of a pool, and the tasks unfinished in them."""

    ends: Mapping[int, int]
    """By partition: the offset after the last task that is looked at."""
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


def held(log: Log, topics: Topics, pool: str, slot: str, before: Held | None = None) -> Held:
    """What the slot holds of a pool, as the group and its committed maps say; blocks.

    With ``before``, what is still unfinished of that. The group knows the partitions of a dead
    slot until its session ends.
    """
    admin, group, topic = log.admin(), topics.group(pool), topics.tasks(pool)
    if before is None:
        owned = _owned(admin.group(group), slot)
        ends = {p: bounds.end for p, bounds in admin.bounds(topic, owned).items()}
    else:
        ends = before.ends
    # Not only the stable offsets: an open transaction of the slot ends with it.
    committed = admin.committed(group, topic, ends, stable=False)
    unfinished = 0
    for partition, end in ends.items():
        last = committed[partition]
        done = CompletionMap(0, 0) if last is None else decode(last.offset, last.metadata)
        unfinished += sum(offset < end for offset in done.incomplete) + max(0, end - done.high)
    return Held(ends, unfinished)


def _owned(group: GroupInfo, slot: str) -> list[int]:
    """The partitions of a slot; none while the group is being divided."""
    if group.state != "stable":
        return []
    members = [member for member in group.members if member.instance_id == slot]
    return [partition for member in members for _, partition in member.partitions]
