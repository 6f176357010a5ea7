"""``python -m tests.simulation``: run seeds, replay one, shrink what fails."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from .found import ITSELF, WRONG_MAX, first_by
from .kept import keep
from .run import Outcome, simulate
from .shrink import shrink

CHUNK = 5


def main() -> int:
    """Parse the options and run; exit 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, metavar="N", help="how many")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--seed", type=int, metavar="SEED", help="replay one, with its log")
    parser.add_argument(
        "--until",
        nargs="+",
        default=(),
        metavar="RULE",
        help=f"end at the first that breaks one of these, or after {WRONG_MAX} that break others",
    )
    parser.add_argument("--json", action="store_true", help="say it as JSON on the last line")
    parser.add_argument("--keep", metavar="NAME", help="with --seed: keep what fails as a fixture")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="P")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, options.keep)
    began, failed, found, count = time.monotonic(), list[Outcome](), None, 0
    for count, outcome in enumerate(outcomes(options.first, options.seeds, options.processes), 1):
        if outcome.problems:
            failed.append(outcome)
            print(f"seed {outcome.seed}: {outcome.problems[0]}")
            found = first_by(options.until, outcome.problems)
            if found or (options.until and len(failed) >= WRONG_MAX):
                break
        if count % 200 == 0:
            took_s = time.monotonic() - began
            print(f"{count:,} seeds, {len(failed)} failed, {took_s:.0f} s", file=sys.stderr)
    print(f"{count:,} seeds, {len(failed)} failed")
    if options.json:
        last = failed[-1] if failed else Outcome(-1, [], [""])
        said = {"seeds": count, "seed": last.seed, "problem": found or last.problems[0]}
        print(json.dumps(said | {"found": bool(found)}))
    return 1 if failed else 0


def outcomes(first: int, seeds: int, processes: int) -> Iterator[Outcome]:
    """Simulate these seeds on all processors."""
    pool = ProcessPoolExecutor(processes)
    try:
        yield from pool.map(quietly, range(first, first + seeds), chunksize=CHUNK)
    finally:
        pool.shutdown(cancel_futures=True)


def quietly(seed: int) -> Outcome:
    """One seed without a word; what it raises is a problem too."""
    logging.disable(logging.CRITICAL)
    try:
        return simulate(seed)
    except Exception as error:
        return Outcome(seed, [], [f"{ITSELF}: {error!r}"])


def replay(seed: int, keep_as: str | None) -> int:
    """Run one seed aloud; if it fails, find the shortest plan that still does."""
    logging.basicConfig(level=logging.INFO, format="%(name)-16s %(message)s", stream=sys.stderr)
    outcome = simulate(seed)
    for fault in outcome.plan:
        print(fault)
    print(
        f"{outcome.answered} answered, {outcome.calls:,} calls, {outcome.virtual_s:.1f} virtual s"
    )
    for problem in outcome.problems:
        print(f"✗ {problem}")
    if not outcome.problems:
        return 0
    logging.disable(logging.CRITICAL)
    print("the shortest plan that still fails:")
    plan = shrink(outcome)
    for fault in plan:
        print(f"  {fault}")
    if keep_as:
        print(f"kept: {keep(keep_as, seed, outcome.problems[0], plan)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
