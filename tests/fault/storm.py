"""A storm: faults strike a deployment under load, one after the other, until enough was done."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from streams.testing import Kafka

from .diary import Struck
from .fault import Fault, Missed
from .field import LiveField, Reach
from .follow import Beat
from .ground import ground_of
from .schedule import draw, kinds_of
from .workers import Life, Sample

CALM_S = 4.0
"""Before the first fault and after the last: what a process holds at rest is measured there."""
MISSES_MAX = 5
"""Of one kind, one after the other: then it is the lane that does not work."""
REST_S = (0.3, 3.0)
"""Between a heal and the next strike: the next one often meets the recovery from the last."""


@dataclass(frozen=True, slots=True)
class Aim:
    """When a storm has done enough: both are reached, or the time is over (seconds)."""

    tasks: int
    faults: int
    seconds: float
    per_second: float
    """How many tasks are submitted while the workers keep up."""


@dataclass(slots=True)
class Storm:
    """What happened: everything the verdict needs beside the topics."""

    brokers: int
    began: float = 0.0
    ended: float = 0.0
    diary: list[Struck] = field(default_factory=list[Struck])
    lives: list[Life] = field(default_factory=list[Life])
    beats: list[Beat] = field(default_factory=list[Beat])
    at_rest: dict[int, Sample] = field(default_factory=dict[int, Sample])
    """What each process held at the end, by process."""
    files_left: list[str] = field(default_factory=list[str])
    """What workers left on the disk, beside their logs."""
    left: str | None = None
    """What had not ended long after the load did."""

    @property
    def struck(self) -> list[Struck]:
        """The faults that count."""
        return [each for each in self.diary if not each.missed]

    def misses(self, kind: str) -> int:
        """How many faults of a kind have met nothing since one of them last did."""
        of_kind = [bool(each.missed) for each in self.diary if each.kind == kind]
        return next((n for n, missed in enumerate(reversed(of_kind)) if not missed), len(of_kind))


def rage(
    field: LiveField,
    faults: Sequence[Fault],
    seed: str,
    aim: Aim,
    say: Callable[[str], None],
) -> Storm:
    """Strike until the aim is reached, end the load and wait for rest.

    All kinds that can be struck here are, at least once, even if the time is over.
    """
    storm = Storm(len(field.brokers))
    chosen = kinds_of(faults, storm.brokers)
    for fault in chosen:
        fault.ready(field)
    field.open_up()
    storm.began = time.time()
    field.until(lambda: False, CALM_S)
    until = time.monotonic() + aim.seconds
    owed = {fault.name for fault in chosen}
    for fault, rng in draw(chosen, seed):
        enough = field.follower.results >= aim.tasks and len(storm.struck) >= aim.faults
        over = enough or time.monotonic() > until
        if over and not owed:
            break
        if over and fault.name not in owed:
            continue
        struck = strike(field, fault, rng)
        storm.diary.append(struck)
        _tell(storm, field, say)
        if struck.missed:
            assert storm.misses(fault.name) < MISSES_MAX, f"{fault.name}: {struck.missed}"
        else:
            owed.discard(fault.name)
        field.until(lambda: False, rng.uniform(*REST_S))
    storm.left = field.come_to_rest()
    field.until(lambda: False, CALM_S)
    _look(storm, field)
    return storm


def strike(field: LiveField, fault: Fault, rng: random.Random) -> Struck:
    """Strike one fault, wait, heal it; returns when it is healed."""
    field.hit = Reach()
    struck, missed = time.time(), ""
    try:
        heal = fault.strike(field, rng)
        field.until(lambda: False, rng.uniform(*fault.pause_s))
        if heal is not None:
            heal()
    except Missed as why:
        missed = str(why)
    hit = field.hit
    return Struck(
        fault.name, hit.target, struck, time.time(), hit.partitions, hit.since, hit.reach, missed
    )


def _look(storm: Storm, field: LiveField) -> None:
    field.workers.sample()
    storm.at_rest = {life.pid: life.samples[-1] for life in field.workers.running()}
    homes = field.scratch / "homes"
    storm.files_left = sorted(str(path) for path in homes.rglob("*") if path.is_file())
    storm.ended = time.time()
    storm.lives = field.workers.lives
    storm.beats = field.follower.beats


def _tell(storm: Storm, field: LiveField, say: Callable[[str], None]) -> None:
    struck = storm.diary[-1]
    number = "" if struck.missed else len(storm.struck)
    took = struck.healed - struck.struck
    after = f"{field.follower.results:>9,} ended, {field.submitter.open:>5,} open"
    say(
        f"{number:>4} {struck.kind:<30} {struck.target:<30} {took:5.1f} s   "
        f"{f'missed: {struck.missed}' if struck.missed else after}"
    )


def run_storm(
    brokers: int,
    faults: Sequence[Fault],
    seed: str,
    aim: Aim,
    scratch: Path,
    say: Callable[[str], None],
    judge: Callable[[LiveField, Storm], None],
) -> None:
    """A storm on a cluster of its own; ``judge`` is called while its brokers serve."""
    data = scratch / "brokers"
    with (
        ground_of(brokers, seed) as ground,
        Kafka(brokers, properties=ground.properties, data=data) as kafka,
    ):
        field = LiveField(
            kafka, brokers, "storm", scratch, random.Random(seed), aim.per_second, ground
        )
        try:
            judge(field, rage(field, faults, seed, aim, say))
        finally:
            field.close()
            for fault in kinds_of(faults, brokers):
                with suppress(OSError):
                    fault.close()
