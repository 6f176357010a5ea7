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
from .fault import Fault
from .field import LiveField, Reach
from .follow import Beat
from .ground import ground_of
from .schedule import draw, kinds_of
from .workers import Life, Sample

CALM_S = 4.0
"""Before the first fault and after the last: what a process holds at rest is measured there."""
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
    for number, (fault, rng) in enumerate(draw(chosen, seed)):
        enough = field.follower.results >= aim.tasks and number >= aim.faults
        if number >= len(chosen) and (enough or time.monotonic() > until):
            break
        storm.diary.append(strike(field, fault, rng))
        _tell(storm.diary[-1], number, field, say)
        field.until(lambda: False, rng.uniform(*REST_S))
    storm.left = field.come_to_rest()
    field.until(lambda: False, CALM_S)
    _look(storm, field)
    return storm


def strike(field: LiveField, fault: Fault, rng: random.Random) -> Struck:
    """Strike one fault, wait, heal it; returns when it is healed."""
    field.hit = Reach()
    struck = time.time()
    heal = fault.strike(field, rng)
    field.until(lambda: False, rng.uniform(*fault.pause_s))
    if heal is not None:
        heal()
    hit = field.hit
    return Struck(fault.name, hit.target, struck, time.time(), hit.partitions, hit.since, hit.reach)


def _look(storm: Storm, field: LiveField) -> None:
    field.workers.sample()
    storm.at_rest = {life.pid: life.samples[-1] for life in field.workers.running()}
    homes = field.scratch / "homes"
    storm.files_left = sorted(str(path) for path in homes.rglob("*") if path.is_file())
    storm.ended = time.time()
    storm.lives = field.workers.lives
    storm.beats = field.follower.beats


def _tell(struck: Struck, number: int, field: LiveField, say: Callable[[str], None]) -> None:
    took = struck.healed - struck.struck
    say(
        f"{number + 1:>4} {struck.kind:<28} {struck.target:<30} {took:5.1f} s   "
        f"{field.follower.results:>9,} ended, {field.submitter.open:>5,} open"
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
