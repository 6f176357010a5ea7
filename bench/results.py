"""Results of a run as a file, with what they depend on: machine, versions, commit, date."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka

from bench.processes import ROOT
from bench.series import Series

LATEST = ROOT / ".streams" / "bench.json"
"""Where every run leaves its results."""
RECORDED = ROOT / "bench" / "results.json"
"""The run that the page shows."""
PEER_PACKAGES = ("celery", "dramatiq", "taskiq", "taskiq-redis", "faust-streaming", "faststream")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Figures mean nothing without them."""

    date: str
    commit: str
    machine: str
    versions: Mapping[str, str]
    load: float
    """Processes that wanted to run as the run began (1 minute); high means that others did."""
    tasks: int
    runs: int


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of measurement, with the surroundings in which it was made."""

    around: Surroundings
    series: Sequence[Series]


Results = dict[str, Section]


def surroundings(tasks: int, runs: int) -> Surroundings:
    """Of this moment; the machine without its name."""
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return Surroundings(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        commit=commit or "no commit",
        machine=f"{_processor()}, {os.cpu_count()} CPUs, {_memory_gib()} GiB, {platform.system()}",
        versions=_versions(),
        load=round(os.getloadavg()[0], 1),
        tasks=tasks,
        runs=runs,
    )


def save(results: Results, path: Path) -> None:
    """Write them; what else the file held of other sections is kept."""
    path.parent.mkdir(exist_ok=True)
    merged = (load(path) if path.exists() else {}) | results
    text = json.dumps({name: asdict(section) for name, section in merged.items()}, indent=1)
    path.write_text(text + "\n")


def load(path: Path) -> Results:
    """As they were saved."""
    return {name: _section(found) for name, found in json.loads(path.read_text()).items()}


def _section(found: dict[str, Any]) -> Section:
    series = [Series(**(one | {"values": tuple(one["values"])})) for one in found["series"]]
    return Section(Surroundings(**found["around"]), series)


def _versions() -> dict[str, str]:
    versions = {
        "Python": platform.python_version(),
        "agentstreams": version("agentstreams"),
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
        "pydantic": version("pydantic"),
    }
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (ROOT / "bench" / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith(" ")
    )
    return versions | {name: locked[name] for name in PEER_PACKAGES} | _redis()


def _redis() -> dict[str, str]:
    try:
        line = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return {}
    return {"Redis": line.partition("v=")[2].partition(" ")[0]}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
