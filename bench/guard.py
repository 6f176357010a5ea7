"""The guard: CPU per task of the no-op path must not creep up. ``python -m bench --guard``.

Time depends on what else the machine does; CPU hardly does. Still machines differ, so nothing
is compared with a number from another day: the recorded commit (``bench/guard.json``) is
taken out of git and measured here and now, in turns with this tree and with the bare loop.
It fails if this tree's CPU per task, over the bare loop's, is more than LIMIT times the
recorded commit's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

from bench.own import BARE, CPU, SPINE
from bench.processes import ROOT, module
from streams.testing import Kafka

RECORD = ROOT / "bench" / "guard.json"
LIMIT = 1.25
ROUNDS = 5
TASKS = 12_000
WARM_UP = 2_000
PARTITIONS = 12
PATHS = ("bench", "streams", "schemas", "agents", "pyproject.toml")
"""What a commit needs to be measured."""


class GuardError(Exception):
    """The guard cannot measure: no record, or its commit is not in this clone."""


@dataclass(frozen=True, slots=True)
class Record:
    """The commit that was recorded, and its ratio to the bare loop on that day's machine."""

    commit: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Round:
    """CPU per task in µs, measured one after the other."""

    bare: float
    recorded: float
    now: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Medians over the rounds of the ratios to the bare loop."""

    recorded: float
    now: float

    @staticmethod
    def of(rounds: Sequence[Round]) -> Verdict:
        return Verdict(
            median(each.recorded / each.bare for each in rounds),
            median(each.now / each.bare for each in rounds),
        )

    @property
    def ok(self) -> bool:
        return self.now <= LIMIT * self.recorded

    def text(self, record: Record) -> str:
        """What was found, and if it is too much what to do about it."""
        found = (
            f"CPU per task, over the bare loop's: {self.now:.2f}; {record.commit[:12]} "
            f"{self.recorded:.2f}; {self.now / self.recorded:.2f} of that, the limit is {LIMIT}"
        )
        if self.ok:
            return found
        return (
            f"error: the task path takes more CPU than it did. {found}\n"
            "hint: make bench ARGS='--only stages' shows where it goes; if it is worth it, "
            "commit and make guard ARGS=--record, and say why in that commit"
        )


def read_record(path: Path = RECORD) -> Record:
    """The recorded commit; GuardError."""
    try:
        found = json.loads(path.read_text())
        return Record(str(found["commit"]), float(found["ratio"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GuardError(
            f"{path.name} cannot be read ({error!r})\nhint: make guard ARGS=--record makes one"
        ) from error


def take_out(commit: str, folder: Path, root: Path = ROOT) -> None:
    """Put the files of a commit into a folder; GuardError if it is not in this clone."""
    shallow = _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    if _git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode:
        hint = (
            "this clone is shallow: git fetch --unshallow"
            if shallow
            else "git fetch, or record a commit of this history: make guard ARGS=--record"
        )
        raise GuardError(f"the recorded commit {commit[:12]} is not in this clone\nhint: {hint}")
    archive = _git(root, "archive", "--format=tar", commit, *PATHS)
    if archive.returncode:
        raise GuardError(archive.stderr.decode().strip())
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def measure(recorded: Path | None, show: Callable[[str], None]) -> list[Round]:
    """ROUNDS rounds on one broker; without a recorded tree this one stands for it too."""
    rounds: list[Round] = []
    with Kafka() as kafka:
        for number in range(ROUNDS + 1):
            tasks = TASKS if number else WARM_UP

            def cpu(system: str, tree: Path, part: str, number: int = number, tasks: int = tasks):
                prefix = f"guard-{part}-{number}"
                given = (system, kafka.bootstrap, prefix, tasks, PARTITIONS)
                return float(module("bench.own", *given, tree=tree)[CPU])

            bare, now = cpu(BARE, ROOT, "bare"), cpu(SPINE, ROOT, "now")
            before = cpu(SPINE, recorded, "recorded") if recorded else now
            if number:
                rounds.append(Round(bare, before, now))
                show(f"  bare loop {bare:5.1f} µs, recorded {before:5.1f} µs, now {now:5.1f} µs")
    return rounds


def guard() -> int:
    """Compare with the recorded commit; the exit code."""
    try:
        record = read_record()
        with tempfile.TemporaryDirectory(prefix="streams-guard-") as folder:
            take_out(record.commit, Path(folder))
            verdict = Verdict.of(measure(Path(folder), _say))
    except GuardError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(verdict.text(record))
    return 0 if verdict.ok else 1


def record() -> int:
    """Measure this tree and record its commit; refused while it has changes."""
    if _git(ROOT, "status", "--porcelain", "--", *PATHS).stdout.strip():
        print("error: only a commit can be recorded\nhint: commit first", file=sys.stderr)
        return 1
    commit = _git(ROOT, "rev-parse", "HEAD").stdout.decode().strip()
    ratio = round(Verdict.of(measure(None, _say)).now, 3)
    RECORD.write_text(json.dumps({"commit": commit, "ratio": ratio}, indent=2) + "\n")
    print(f"{RECORD.name}: {commit[:12]} takes {ratio} of the bare loop's CPU per task")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True)
