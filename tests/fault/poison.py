"""Poison in a calm deployment: what it does to tasks of other keys (I14)."""

from __future__ import annotations

import random
import time
from itertools import count
from pathlib import Path

from streams.verify.evidence import gather

from .fault import ScenarioOutcome
from .scenario_agents import RETRY_DELAY_S
from .stage import PARTITIONS, Stage
from .verdict import Poison, delayed
from .workload import UNDECODABLE

WAVE = 40
WAVE_EVERY_S = 0.5
CALM_WAVES = 4
ENDS_S = 90.0
"""How long the poisons may take to end; other tasks go on being submitted until then."""


class PoisonScenario:
    """Records that are no tasks, tasks that fail and wait, a task that ends its worker."""

    name = "poison"
    needs: str | None = None
    expected = (
        "no task of another key waits longer than one retry interval, beside what a worker's "
        "death takes until its partitions are run again"
    )

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        with Stage(scratch) as stage:
            workers = stage.workers()
            for slot in ("a", "b"):
                workers.start(slot)
            self._wave(stage, CALM_WAVES)
            stage.until_answered(stage.submitted)
            self._write_garbage(stage)
            poisons = stage.submit([{"number": 0, "poison": "fails"}] * 3, key="failing")
            poisons += stage.submit([{"number": 0, "poison": "exits"}], key="deadly")
            end = time.monotonic() + ENDS_S
            while not set(poisons) <= stage.results().keys() and time.monotonic() < end:
                self._wave(stage, 1)
            stage.until_answered(stage.submitted)
            self._judge(stage, [life.ended for life in workers.lives if life.ended is not None])
            return ScenarioOutcome(self.expected, stage.violations, stage.check(["steady"]))

    def _wave(self, stage: Stage, times: int) -> None:
        for _ in range(times):
            began = time.monotonic()
            stage.submit([{"number": n} for n in range(WAVE)])
            time.sleep(max(0.0, WAVE_EVERY_S - (time.monotonic() - began)))

    def _write_garbage(self, stage: Stage) -> None:
        producer = stage.log.producer()
        numbers = count()
        for partition in range(PARTITIONS):
            for _ in range(5):
                key = f"garbage-{next(numbers)}".encode()
                producer.produce(stage.topics.tasks("steady"), partition, key, UNDECODABLE)
        stage.expect(producer.flush(10.0) == 0, "the garbage is written")
        producer.close()

    def _judge(self, stage: Stage, deaths: list[float]) -> None:
        topic = stage.topics.tasks("steady")
        evidence = gather(stage.log, stage.topics, ["steady"])
        poisons: list[Poison] = []
        for (name, partition), held in evidence.sources.items():
            for source in held.values() if name == topic else ():
                came = source.appended_ms / 1000
                ended = evidence.results.get(source.task_id) if source.task_id else None
                if source.task_id is None:
                    span = came, came + RETRY_DELAY_S
                elif ended is not None and ended.status == "failed":
                    span = came, ended.appended_ms / 1000
                else:
                    continue
                poisons.append(Poison(partition, source.key, span))
        # Whose partition it was is not asked: a death is taken to hit all of them.
        hit = dict.fromkeys(range(PARTITIONS), deaths)
        stage.expect(len(poisons) == 24, f"24 poisons, not {len(poisons)}")
        stage.expect(len(deaths) >= 3, f"the deadly one ends its worker again and again: {deaths}")
        stage.violations += delayed(evidence, topic, poisons, hit, RETRY_DELAY_S)
