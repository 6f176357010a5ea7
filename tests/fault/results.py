"""The results of a run as JSON: machine, versions, faults with their times, goodput, violations."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from streams.verify import Report, Violation
from streams.verify.evidence import Evidence

from .storm import Storm
from .verdict import Partition, recovery

ROOT = Path(__file__).resolve().parents[2]
CLIENT_PACKAGES = ("agentstreams", "confluent-kafka", "fastavro", "pydantic", "uvloop")


def machine() -> dict[str, Any]:
    """Where this runs."""
    return {
        "system": platform.platform(),
        "processor": _line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def versions() -> dict[str, str]:
    """What runs; the commit has a ``+`` if files of it are changed."""
    found = {name: version(name) for name in CLIENT_PACKAGES}
    lock = (ROOT / "streams" / "broker" / "jars.lock").read_text()
    kafka = next(word for word in lock.split() if ":kafka_2" in word)
    return {
        "python": platform.python_version(),
        **found,
        "kafka": kafka.rpartition(":")[2],
        "commit": commit(),
    }


def commit() -> str:
    """The commit that is checked out."""
    head = _git("rev-parse", "--short=10", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def storm_results(
    storm: Storm,
    evidence: Evidence,
    lines: Mapping[int, Partition],
    report: Report,
    uncertain: int,
    found: Sequence[Violation],
) -> dict[str, Any]:
    """One storm; times in seconds since its first fault could strike."""
    faults: list[dict[str, Any]] = []
    for struck in storm.struck:
        felt = recovery(struck, lines)
        faults.append(
            {
                "kind": struck.kind,
                "target": struck.target,
                "at_s": round(struck.struck - storm.began, 3),
                "lasted_s": round(struck.healed - struck.struck, 3),
                "since": struck.since,
                "back_s": _rounded(felt.back_s),
                "pause_s": _rounded(felt.pause_s),
            }
        )
    return {
        "brokers": storm.brokers,
        "seconds": round(storm.ended - storm.began, 1),
        "tasks": report.accepted,
        "by_status": dict(report.by_status),
        "undecodable": report.undecodable,
        "uncertain": uncertain,
        "worker_starts": len(storm.lives),
        "faults": faults,
        "missed": len(storm.diary) - len(faults),
        "goodput": goodput(storm, evidence),
        "violations": [asdict(violation) for violation in found],
    }


def goodput(storm: Storm, evidence: Evidence) -> list[int]:
    """Results per second, from the storm's beginning to its end."""
    counts = Counter(ended.appended_ms // 1000 for ended in evidence.results.values())
    return [counts[second] for second in range(int(storm.began), int(storm.ended) + 1)]


def violations_of(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """All violations of a run."""
    parts: Iterable[Mapping[str, Any]] = [*results["storms"], *results["scenarios"]]
    return [violation for part in parts for violation in part["violations"]]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _git(*arguments: str) -> str:
    ran = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return ran.stdout.strip() or "unknown" * bool(ran.returncode)


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return platform.machine()
