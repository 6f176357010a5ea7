"""A broker's disk is full under load, and has room again."""

from __future__ import annotations

import random
from pathlib import Path

from streams.broker.process import is_alive

from . import disk
from .disk import Disk
from .fault import ScenarioOutcome
from .stage import Stage

JOBS = 600


class DiskFull:
    """The disk of one broker of so many is full."""

    expected = (
        "the broker gives up, workers outlast it, and with room again every task is answered once"
    )

    def __init__(self, brokers: int) -> None:
        self.name = f"disk-full-{brokers}-broker{'s' * (brokers > 1)}"
        self.needs = disk.needs()
        self._brokers = brokers

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        with Disk() as full, Stage(scratch, full.properties, brokers=self._brokers) as stage:
            workers = stage.workers()
            for slot in ("a", "b"):
                workers.start(slot)
            first = workers.running()
            ids = stage.submit([{"number": n, "ms": 200} for n in range(JOBS)])
            stage.until(lambda: len(stage.results()) >= JOBS // 10, "they are at work")
            full.fill()
            pid = stage.kafka.pid(1)
            stage.until(lambda: not is_alive(pid, "kafka.Kafka"), "the broker gave up")
            full.free()
            stage.kafka.restart(1)
            ids += stage.submit([{"number": n} for n in range(JOBS, JOBS + 100)])
            stage.until_answered(ids)
            stage.expect(workers.running() == first, "the workers outlast it")
            return ScenarioOutcome(self.expected, stage.violations, stage.check(["steady"]))
