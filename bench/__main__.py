"""Measure the worker against the bare loop, in turns on one broker, and print medians."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka

from bench.load import make_topics, measured, preload
from streams.testing import Kafka

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("bare", "spine")
LIMIT_S = 300
LATENCY_TASKS = 500
WARM_UP_PART = 10
"""The first run, of this part of the tasks, warms the broker up and is not counted."""


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--tasks", type=int, default=50_000, metavar="N", help="tasks of each run")
    parser.add_argument("--runs", type=int, default=3, metavar="K", help="runs of each system")
    parser.add_argument("--partitions", type=int, default=12, metavar="P")
    options = parser.parse_args()
    print_surroundings(options)
    with Kafka() as kafka:
        compare(kafka.bootstrap, options.tasks, options.runs, options.partitions)
        client_side(kafka.bootstrap, options.tasks, options.runs, options.partitions)


def compare(bootstrap: str, tasks: int, runs: int, partitions: int) -> None:
    """Both systems in turns: no-op tasks/s and CPU per task."""
    rates: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    cpu_micros: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    for run in range(runs + 1):
        count = tasks if run else max(1, tasks // WARM_UP_PART)
        for system in SYSTEMS:
            prefix = f"{system}-{run}"
            topics = make_topics(bootstrap, prefix, partitions)
            preload(bootstrap, topics, count, partitions)
            report = module(f"bench.{system}", bootstrap, prefix, count)
            rate = measured(bootstrap, topics, partitions)
            assert rate.results == count, f"{system}: {rate.results} results of {count} tasks"
            if run:
                rates[system].append(rate.per_second)
                cpu_micros[system].append(report["cpu_s"] / count * 1e6)
                print(f"  run {run}  {system:5}  {rate.per_second:9,.0f} tasks/s", file=sys.stderr)
    for system in SYSTEMS:
        show(f"{system}: tasks/s", rates[system])
        show(f"{system}: CPU per task, µs", cpu_micros[system])
    ratio = statistics.median(rates["spine"]) / statistics.median(rates["bare"])
    print(f"{'spine / bare: tasks/s':32} {ratio:10.2f}")


def client_side(bootstrap: str, tasks: int, runs: int, partitions: int) -> None:
    """Submit rate without a worker, then latency with one at low load."""
    make_topics(bootstrap, "submit", partitions)
    submitted = [module("bench.client", "submit", bootstrap, "submit", tasks) for _ in range(runs)]
    show("submit: tasks/s accepted", [rate for (rate,) in submitted])
    make_topics(bootstrap, "latency", partitions)
    worker = subprocess.Popen(command("bench.spine", bootstrap, "latency", 0), cwd=ROOT)
    try:
        took = sorted(module("bench.client", "latency", bootstrap, "latency", LATENCY_TASKS))
    finally:
        worker.kill()
        worker.wait()
    cuts = statistics.quantiles(took, n=100)
    print(
        f"{'submit → result, ms':32} {cuts[49]:10.1f}   p99 {cuts[98]:.1f}, max {took[-1]:.1f} "
        f"({len(took)} tasks, 50/s)"
    )


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", name, *map(str, arguments)]


def module(name: str, *arguments: object) -> Any:
    """Run a module of this folder in a process of its own; what it printed, as JSON."""
    done = subprocess.run(
        command(name, *arguments), cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S
    )
    return json.loads(done.stdout)


def show(what: str, values: Sequence[float]) -> None:
    """A median with its range."""
    median = statistics.median(values)
    print(f"{what:32} {median:10,.1f}   {min(values):,.1f} to {max(values):,.1f}")


def print_surroundings(options: argparse.Namespace) -> None:
    """Machine, versions and commit: figures mean nothing without them."""
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load "
        f"{os.getloadavg()[0]:.1f}; Python {platform.python_version()}, confluent-kafka "
        f"{version('confluent-kafka')} (librdkafka {confluent_kafka.libversion()[0]}); "
        f"agentstreams {version('agentstreams')} at {commit or 'no commit'}"
    )
    print(
        f"{options.tasks:,} tasks per run, {options.partitions} partitions, one broker on this "
        f"machine; medians of {options.runs} interleaved runs, then the range"
    )


if __name__ == "__main__":
    main()
