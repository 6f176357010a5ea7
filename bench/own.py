"""The sections that measure this project: against the bare loop, waiting, answering, growing."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.load import make_topics, preload, result_times
from bench.processes import LIMIT_S, ROOT, command, module
from bench.series import Series, interleaved, percentiles, rate, slope

SPINE, BARE, PLAIN = "agentstreams", "bare loop", "bare loop, at least once"
WORKERS = {
    SPINE: ("bench.spine",),
    BARE: ("bench.bare",),
    PLAIN: ("bench.bare", "at-least-once"),
}
"""Module and last arguments of each system's worker."""
WARM_UP_PART = 10
"""The first run, of this part of the tasks, warms the broker up and is not counted."""
WAVES = 12
"""So many times the tasks that are in flight at once: the first and the last are not counted."""
WAITING_S = 1
PROBES = 500
PROBES_S = 14
"""How long the background load goes on: longer than PROBES take."""
ANSWERING_PARTITIONS = 12
WAITING_PARTITIONS = 32
TASKS_S, CPU = "tasks/s", "CPU per task, µs"
OVER_IDLE, PER_TASK = "MiB over idle", "KiB per task in flight"
P50, P99 = "p50, ms", "p99, ms"
SUBMITTED, GROWTH = "submitted/s", "bytes per task done"
LOW, HALF = "50 tasks/s", "50 % load"


@dataclass(frozen=True, slots=True)
class Bench:
    """A broker, and how much to measure on it."""

    bootstrap: str
    tasks: int
    runs: int
    grown: int
    """Tasks of the run that looks for growth."""

    def prefix(self, system: str, case: str, run: int) -> str:
        """Names of their own for the topics of one run."""
        text = f"{system}-{case}-{run}".lower()
        return "".join(letter if letter.isalnum() else "-" for letter in text)


def once(bootstrap: str, system: str, prefix: str, tasks: int, partitions: int) -> dict[str, float]:
    """One run of one system over tasks that wait for it."""
    topics = make_topics(bootstrap, prefix, partitions)
    preload(bootstrap, topics, tasks, partitions)
    name, *last = WORKERS[system]
    report = module(name, bootstrap, prefix, tasks, *last)
    times = result_times(bootstrap, topics, partitions)
    assert len(times) == tasks, f"{system}: {len(times)} results of {tasks} tasks"
    return {TASKS_S: rate(times), CPU: report["cpu_s"] / tasks * 1e6}


def partitions(bench: Bench) -> Iterator[Series]:
    """No-op tasks per second and CPU of each, at several numbers of partitions."""
    for count in (4, 32, 128):
        case = f"{count} partitions"

        measure = partial(_no_op, bench, count)
        yield from interleaved([BARE, SPINE, PLAIN], case, bench.runs, measure)


def _no_op(bench: Bench, count: int, system: str, run: int) -> dict[str, float]:
    tasks = bench.tasks if run else bench.tasks // WARM_UP_PART
    return once(bench.bootstrap, system, bench.prefix(system, str(count), run), tasks, count)


def waiting(bench: Bench) -> Iterator[Series]:
    """Tasks that wait for a second, as calls of models do: rate, and memory of those in flight."""
    for in_flight in (1_000, 10_000):
        measure = partial(_waited, bench, in_flight)
        yield from interleaved([SPINE], f"{in_flight:,} in flight", bench.runs, measure)


def _waited(bench: Bench, in_flight: int, system: str, run: int) -> dict[str, float]:
    prefix = bench.prefix("waiting", str(in_flight), run)
    topics = make_topics(bench.bootstrap, prefix, WAITING_PARTITIONS)
    tasks = in_flight * (WAVES if run else 3)
    options = ("--concurrency", in_flight, "--seconds", WAITING_S, "--memory", "--announce")
    with worker("bench.spine", bench.bootstrap, prefix, tasks, *options) as running:
        # One task first: what a worker needs that has begun is not what tasks in flight need.
        preload(bench.bootstrap, topics, 1, WAITING_PARTITIONS)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        preload(bench.bootstrap, topics, tasks - 1, WAITING_PARTITIONS)
        report = json.loads(running.communicate(timeout=LIMIT_S)[0])
    times = result_times(bench.bootstrap, topics, WAITING_PARTITIONS)
    assert len(times) == tasks, f"{len(times)} results of {tasks} tasks"
    over_mib = max(mib for _, mib in report["memory"]) - report["idle_mib"]
    return {
        TASKS_S: rate(times, in_flight),
        OVER_IDLE: over_mib,
        PER_TASK: over_mib * 1024 / in_flight,
    }


def answering(bench: Bench) -> Iterator[Series]:
    """From submit to the result in hand, at low load and at half of what the worker can do."""
    case = f"{ANSWERING_PARTITIONS} partitions"
    prefix = bench.prefix("half", "of", 0)
    full = once(bench.bootstrap, SPINE, prefix, bench.tasks, ANSWERING_PARTITIONS)[TASKS_S]
    yield Series(SPINE, case, "full load, tasks/s", (full,))
    for load, per_second in ((LOW, 0), (HALF, round(full / 2))):
        measure = partial(_answered, bench, load, per_second)
        yield from interleaved([SPINE], load, bench.runs, measure)


def _answered(bench: Bench, load: str, per_second: int, system: str, run: int) -> dict[str, float]:
    prefix = bench.prefix("answering", load, run)
    make_topics(bench.bootstrap, prefix, ANSWERING_PARTITIONS)
    probes = PROBES if run else PROBES // WARM_UP_PART
    with contextlib.ExitStack() as running:
        running.enter_context(worker("bench.spine", bench.bootstrap, prefix, 0))
        if per_second:
            background = ("background", bench.bootstrap, prefix, per_second, PROBES_S)
            running.enter_context(worker("bench.client", *background, ANSWERING_PARTITIONS))
        took = module("bench.client", "latency", bench.bootstrap, prefix, probes)
    p50, p99 = percentiles(took)
    return {P50: p50, P99: p99}


def submitting(bench: Bench) -> Iterator[Series]:
    """Tasks per second that the log has accepted from one client, without a worker."""

    def measure(system: str, run: int) -> dict[str, float]:
        prefix = bench.prefix("submit", "", run)
        make_topics(bench.bootstrap, prefix, ANSWERING_PARTITIONS)
        tasks = max(1_000, bench.tasks if run else bench.tasks // WARM_UP_PART)
        (per_second,) = module("bench.client", "submit", bench.bootstrap, prefix, tasks)
        return {SUBMITTED: per_second}

    yield from interleaved([SPINE], f"{ANSWERING_PARTITIONS} partitions", bench.runs, measure)


def growing(bench: Bench) -> Iterator[Series]:
    """Memory over many tasks: what stays of each."""
    runs = [_grown(bench, run) for run in range(1, bench.runs + 1)]
    for figure in runs[0]:
        case = f"{bench.grown:,} tasks"
        yield Series(SPINE, case, figure, tuple(measured[figure] for measured in runs))


def _grown(bench: Bench, run: int) -> dict[str, float]:
    prefix = bench.prefix("growing", "", run)
    topics = make_topics(bench.bootstrap, prefix, WAITING_PARTITIONS)
    preload(bench.bootstrap, topics, bench.grown, WAITING_PARTITIONS)
    report = module("bench.spine", bench.bootstrap, prefix, bench.grown, "--memory")
    points: list[tuple[float, float]] = [(done, mib) for done, mib in report["memory"] if done]
    at_half, at_end = points[len(points) // 2][1], points[-1][1]
    return {GROWTH: slope(points) * 1024 * 1024, "MiB at half": at_half, "MiB at the end": at_end}


@contextlib.contextmanager
def worker(name: str, *arguments: object, tree: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A module in a process of its own, ended with the block."""
    line: Any = command(name, *arguments)
    running = subprocess.Popen(line, cwd=tree, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


if __name__ == "__main__":
    _, system, bootstrap, prefix, tasks, count = sys.argv
    print(json.dumps(once(bootstrap, system, prefix, int(tasks), int(count))))
