"""``make fault``: strikes real brokers and workers under load, and checks what must hold."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .fault import Fault
from .judge import judge
from .kinds import faults, scenarios, shared_out
from .plot import plot
from .report import render
from .results import ROOT, machine, versions, violations_of
from .schedule import kinds_of
from .storm import Aim, Storm, run_storm

TASKS = 1_000_000
FAULTS = 300
STORMS = 8
"""Of a whole run, on one broker and on three in turn: each begins with empty topics."""
STORMS_MAX = 24
STORM_S_MAX = 1_800.0
PER_SECOND = 800.0
SHOWN_MAX = 8
"""Violations of a storm that are printed; all are in its folder."""
SCENARIOS_S = 150.0
"""What all scenarios take, of the minutes of a short run."""
AROUND_S = 40.0
"""What the start of brokers and workers, the rest and the verdict take of a storm's."""
PAGE, PICTURE, RESULTS = "docs/reliability.md", "docs/reliability.svg", "docs/reliability.json"


@dataclass(slots=True)
class Run:
    """A run under way: where its data are, and what it found so far."""

    scratch: Path
    seed: str
    per_second: float
    results: dict[str, Any]
    storms_to: Path | None = None
    """Where the results of all storms stand after each: what comes later may break off."""
    broken: list[str] = field(default_factory=list[str])
    """Lanes without a result."""

    def storm(self, brokers: int, faults: Sequence[Fault], aim: Aim) -> None:
        """One storm; its data are removed if nothing was found."""
        number = len(self.results["storms"]) + 1
        folder = self.scratch / f"storm-{number}"
        say(f"storm {number} on {brokers} broker{'s' * (brokers > 1)}")

        def keep(field: Any, storm: Storm) -> None:
            self.results["storms"].append(judge(field, storm))

        run_storm(brokers, faults, f"{self.seed}/{number}", aim, folder, say, keep)
        storm = self.results["storms"][-1]
        say(
            f"storm {number}: {storm['tasks']:,} tasks, {len(storm['faults'])} faults, "
            f"{len(storm['violations'])} violations"
        )
        if self.storms_to is not None:
            self.storms_to.write_text(json.dumps(self.results["storms"]))
        self._clear(folder, storm["violations"])

    def scenes(self, only: Sequence[str]) -> None:
        """All scenarios that can be run here."""
        for scene in scenarios():
            if scene.needs is not None or (only and scene.name not in only):
                continue
            began = time.monotonic()
            folder = self.scratch / scene.name
            outcome = scene.run(folder, random.Random(f"{self.seed}/{scene.name}"))
            found = [asdict(violation) for violation in outcome.violations]
            took = time.monotonic() - began
            say(f"{scene.name:<28} {took:5.1f} s   {len(found)} violations")
            self.results["scenarios"].append(
                {
                    "name": scene.name,
                    "expected": outcome.expected,
                    "tasks": outcome.tasks,
                    "seconds": round(took, 1),
                    "violations": found,
                }
            )
            self._clear(folder, found)

    def _clear(self, folder: Path, found: Sequence[Any]) -> None:
        if not found:
            shutil.rmtree(folder, ignore_errors=True)
            return
        # At once: the run may take an hour more, or be broken off.
        (folder / "violations.json").write_text(json.dumps(found, indent=1))
        for each in found[:SHOWN_MAX]:
            say(f"  {each['invariant']}  {each['where']}: {each['message']}")


def say(line: str) -> None:
    """Tell the person who waits."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    asked = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    if asked.render:
        recorded = json.loads((ROOT / RESULTS).read_text())
        if not all("missed" in storm for storm in recorded["storms"]):
            sys.exit(
                f"error: {RESULTS} is of an older verdict, which checked less than the page says\n"
                "hint: record anew, with --record"
            )
        _write(recorded)
        return 0
    _check_names(asked.only)
    chosen = [
        f for f in faults(short=bool(asked.minutes)) if not asked.only or f.name in asked.only
    ]
    run = Run(
        Path(tempfile.mkdtemp(prefix="streams-fault-")),
        asked.seed,
        asked.per_second,
        {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": asked.seed,
            "machine": machine(),
            "versions": versions(),
            "left_out": _left_out(chosen),
            "storms": [],
            "scenarios": [],
        },
        asked.storms_to,
    )
    say(f"seed {asked.seed}; data and logs are in {run.scratch}")
    for left in run.results["left_out"]:
        say(f"left out: {left['name']}, which needs {left['needs']}")
    if asked.minutes:
        _short(run, chosen, asked)
    elif chosen and asked.lanes > 1:
        _side_by_side(run, _shares(asked), asked.per_second)
    elif chosen:
        _whole(run, chosen, asked)
    if asked.storms_to is None:
        run.scenes(asked.only)
    code = _end(run, asked.record, _not_struck(run, chosen, asked) if os.environ.get("CI") else [])
    # Of a lane that came to its end, what it found is in its file.
    return code if asked.storms_to is None or run.broken else 0


def _check_names(only: Sequence[str]) -> None:
    known = {part.name for part in (*faults(), *scenarios())}
    if unknown := sorted(set(only) - known):
        sys.exit(
            f"error: --only {' '.join(unknown)}: no such kind or scenario\n"
            f"hint: there are {', '.join(sorted(known))}"
        )


def _leave(number: int, _: object) -> None:
    """End, and the workers on the way out: a second signal must not cut that short."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _short(run: Run, chosen: Sequence[Fault], asked: argparse.Namespace) -> None:
    """Each kind at least once, half of them on one broker and half on three at the same time."""
    sizes = asked.brokers
    out = shared_out(chosen) if len(sizes) > 1 else {sizes[0]: list(chosen)}
    lanes = {brokers: kinds for brokers, kinds in out.items() if kinds_of(kinds, brokers)}
    if len(lanes) == 1:
        ((brokers, kinds),) = lanes.items()
        seconds = asked.minutes * 60 - SCENARIOS_S - AROUND_S
        run.storm(brokers, kinds, Aim(0, 0, max(30.0, seconds), run.per_second))
        return
    words = [
        ["--brokers", str(n), "--minutes", str(asked.minutes), "--only", *(k.name for k in kinds)]
        for n, kinds in lanes.items()
    ]
    _side_by_side(run, words, asked.per_second / max(1, len(lanes)))


def _whole(run: Run, chosen: Sequence[Fault], asked: argparse.Namespace) -> None:
    """Storms in turn until there were enough tasks and faults."""
    storms = STORMS if asked.storms_to is None else len(asked.brokers)
    part = Aim(asked.tasks // storms, -(-asked.faults // storms), STORM_S_MAX, run.per_second)
    for number in range(STORMS_MAX):
        storms = run.results["storms"]
        tasks = sum(storm["tasks"] for storm in storms)
        if tasks >= asked.tasks and sum(len(s["faults"]) for s in storms) >= asked.faults:
            return
        run.storm(asked.brokers[number % len(asked.brokers)], chosen, part)
    run.broken.append(f"{STORMS_MAX} storms did not come to the tasks and faults asked for")


def _shares(asked: argparse.Namespace) -> list[list[str]]:
    """The words of each lane: a share of tasks and faults, and with which size it begins."""
    words = list[list[str]]()
    for number in range(asked.lanes):
        turn = number % len(asked.brokers)
        sizes = asked.brokers[turn:] + asked.brokers[:turn]
        share = ["--tasks", str(-(-asked.tasks // asked.lanes))]
        share += ["--faults", str(-(-asked.faults // asked.lanes))]
        words.append([*share, "--brokers", *map(str, sizes), "--only", *asked.only])
    return words


def _side_by_side(run: Run, words: Sequence[Sequence[str]], per_second: float) -> None:
    """Storms in several lanes, each a process: they wait a lot."""
    lanes = dict[Path, subprocess.Popen[bytes]]()
    try:
        for number, of_lane in enumerate(words):
            storms_to = run.scratch / f"lane-{number}.json"
            command = [sys.executable, "-m", "tests.fault", "--seed", f"{run.seed}.{number}"]
            command += ["--storms-to", str(storms_to), "--per-second", str(per_second)]
            lanes[storms_to] = subprocess.Popen([*command, *of_lane], cwd=ROOT)
        for storms_to, lane in lanes.items():
            code = lane.wait()
            if storms_to.exists():
                run.results["storms"] += json.loads(storms_to.read_text())
            if code:
                run.broken.append(f"{storms_to.stem} broke off with {code}: storms are missing")
    finally:
        for lane in lanes.values():
            lane.terminate()
            lane.wait()


def _not_struck(run: Run, chosen: Sequence[Fault], asked: argparse.Namespace) -> list[str]:
    """What was asked for and did not happen, wherever it was left out."""
    struck = {fault["kind"] for storm in run.results["storms"] for fault in storm["faults"]}
    missing = {fault.name for fault in chosen} - struck
    if asked.storms_to is None:
        wanted = {s.name for s in scenarios() if not asked.only or s.name in asked.only}
        missing |= wanted - {scene["name"] for scene in run.results["scenarios"]}
    return sorted(missing)


def _end(run: Run, record: bool, missing: Sequence[str]) -> int:
    found = violations_of(run.results)
    for each in found[:100]:
        print(f"{each['invariant']}  {each['where']}: {each['message']}")
    tasks = sum(part["tasks"] for part in run.results["storms"] + run.results["scenarios"])
    struck = sum(len(storm["faults"]) for storm in run.results["storms"])
    print(f"{tasks:,} tasks, {struck:,} faults, {len(found):,} violations")
    if missing:
        print(f"left out, with CI set: {', '.join(missing)}")
    if record and run.broken:
        print("nothing is recorded of a run that broke off")
    elif record:
        (ROOT / RESULTS).write_text(json.dumps(run.results, separators=(",", ":")) + "\n")
        _write(run.results)
    for lane in run.broken:
        print(lane)
    if found or run.broken:
        (run.scratch / "results.json").write_text(json.dumps(run.results, indent=1))
        print(f"data and logs: {run.scratch}")
        return 1
    shutil.rmtree(run.scratch, ignore_errors=True)
    return 1 if missing else 0


def _write(results: dict[str, Any]) -> None:
    (ROOT / PAGE).write_text(render(results, Path(PICTURE).name))
    (ROOT / PICTURE).write_text(plot(results["storms"]))


def _left_out(chosen: Sequence[Fault]) -> list[dict[str, str]]:
    parts = [*chosen, *scenarios()]
    return [{"name": part.name, "needs": part.needs} for part in parts if part.needs is not None]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fault", description=__doc__)
    parser.add_argument("--minutes", type=float, help="a short run: each kind at least once")
    parser.add_argument("--tasks", type=int, default=TASKS, help="default %(default)s")
    parser.add_argument("--faults", type=int, default=FAULTS, help="default %(default)s")
    parser.add_argument("--seed", default="1", help="repeats the schedule; default %(default)s")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="of kind or scenario")
    parser.add_argument("--brokers", type=int, nargs="+", choices=(1, 3), default=[1, 3])
    parser.add_argument("--lanes", type=int, default=1, help="storms side by side")
    parser.add_argument("--storms-to", type=Path, metavar="FILE", help="as one of the lanes")
    parser.add_argument("--per-second", type=float, default=PER_SECOND, help="tasks submitted")
    parser.add_argument("--record", action="store_true", help=f"write {PAGE} and what it shows")
    parser.add_argument("--render", action="store_true", help=f"write {PAGE} anew, run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
