"""Measure the worker against the bare loop and its peers, in turns, and print medians."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench import guard, own, stages
from bench.own import Bench
from bench.peers import compare
from bench.processes import ROOT
from bench.report import lines, summary, write_page
from bench.results import LATEST, RECORDED, Results, Section, load, save, surroundings
from bench.series import Series
from streams.testing import Kafka

Measure = Callable[[Bench], Iterator[Series]]
PARTS: dict[str, Measure] = {
    "partitions": own.partitions,
    "waiting": own.waiting,
    "answering": own.answering,
    "submitting": own.submitting,
    "growing": own.growing,
    "stages": stages.stages,
    "peers": partial(compare.peers, durability=compare.PROCESS),
    "peers-fsync": partial(compare.peers, durability=compare.MACHINE),
}
"""Everything that can be measured, in order."""
PROPERTIES = {"peers-fsync": compare.MACHINE.kafka}
"""What the broker is set to for a part."""
NEEDS_PEERS = ("peers", "peers-fsync", "stages")


def main() -> None:
    """Parse the options and run."""
    options = parse(sys.argv[1:])
    # Ended from outside, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.guard:
        sys.exit(guard.record() if options.record else guard.guard())
    chosen = options.only or [name for name in PARTS if name != "peers-fsync"]
    if not compare.BIN.is_dir() and any(name in chosen for name in NEEDS_PEERS):
        sys.exit("error: the peers' environment is missing\nhint: make bench makes it")
    run(chosen, options)
    if options.record:
        save(load(LATEST), RECORDED)
        write_page()


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        metavar="PART",
        help=f"{', '.join(PARTS)}; all but the last if nothing is said",
    )
    parser.add_argument("--tasks", type=int, default=40_000, metavar="N", help="tasks of each run")
    parser.add_argument("--runs", type=int, default=3, metavar="K", help="runs of each system")
    parser.add_argument(
        "--grown", type=int, default=1_000_000, metavar="N", help="tasks of the part growing"
    )
    parser.add_argument("--record", action="store_true", help="make docs/benchmarks.md of it")
    parser.add_argument(
        "--guard", action="store_true", help="only compare with the recorded commit"
    )
    options = parser.parse_args(arguments)
    if options.tasks < 100 or options.runs < 1:
        parser.error("at least 100 tasks and 1 run")
    return options


def run(chosen: Sequence[str], options: argparse.Namespace) -> None:
    """Measure, print and save each part as it is done."""
    around = surroundings(options.tasks, options.runs)
    print(f"{around.machine}, load {around.load}; commit {around.commit}; {around.date}")
    print(", ".join(f"{package} {version}" for package, version in around.versions.items()))
    results: Results = {}
    for name in chosen:
        with Kafka(properties=PROPERTIES.get(name)) as kafka:
            bench = Bench(kafka.bootstrap, options.tasks, options.runs, options.grown)
            print(f"\n{name}", flush=True)
            measured: list[Series] = []
            for series in PARTS[name](bench):
                measured.append(series)
                print(lines([series]), flush=True)
        results[name] = Section(around, measured)
        save({name: results[name]}, LATEST)
    print(f"\nfigures to reach\n{summary(results)}\n\nresults: {LATEST.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
