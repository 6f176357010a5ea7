"""Deployments that end in a deliberate stop, each held to its own expectation."""

from __future__ import annotations

import random
from pathlib import Path

from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.integration.rights import (
    ADMIN,
    GUARDED,
    WORKER,
    Deployment,
    Right,
    as_user,
    worker_rights,
)

from .fault import ScenarioOutcome
from .stage import GHOSTS, PARTITIONS, Stage

JOBS = 400
SLOW_MS = 1_000
ENDS_S = 40.0
"""How long a worker may take to find out that it cannot go on."""


def jobs(count: int, first: int = 0, **fields: object) -> list[dict[str, object]]:
    return [{"number": number, **fields} for number in range(first, first + count)]


class Retention:
    """Retention deletes tasks of a group that is stopped."""

    name = "retention"
    needs: str | None = None
    expected = (
        "partitions whose unfinished tasks were deleted stop with an error that names the offsets; "
        "nothing of them is run or committed"
    )

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        often = {"log.retention.check.interval.ms": "300", "log.segment.delete.delay.ms": "100"}
        with Stage(scratch, often) as stage:
            workers = stage.workers()
            workers.start("a")
            stage.until_answered(stage.submit(jobs(JOBS)))
            workers.end("a", keep=False)
            before = self._committed(stage)
            lost = stage.submit(jobs(JOBS, JOBS))
            self._overtake(stage, before)
            workers.start("a")
            life = workers.life("a")
            assert life is not None
            for partition, offset in before.items():
                place = f"{stage.topics.tasks('steady')}[{partition}]"
                stage.until(
                    lambda place=place, offset=offset: stage.says(
                        life, "stops", f"offsets {offset} to", place, "deleted"
                    ),
                    f"{place} stops and names offset {offset}",
                    ENDS_S,
                )
            stage.expect(self._committed(stage) == before, "the committed offsets stay")
            ran = stage.results().keys() & set(lost)
            stage.expect(not ran, f"nothing is run of a partition that lost tasks: {len(ran)} ran")
            stage.expect(workers.life("a") is life, "the worker itself goes on")
            return ScenarioOutcome(self.expected, stage.violations, 2 * JOBS)

    def _committed(self, stage: Stage) -> dict[int, int]:
        topics = stage.topics
        found = stage.log.admin().committed(
            topics.group("steady"), topics.tasks("steady"), range(PARTITIONS)
        )
        return {p: c.offset for p, c in found.items() if c is not None}

    def _overtake(self, stage: Stage, before: dict[int, int]) -> None:
        topic = stage.topics.tasks("steady")
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in (("retention.ms", "200"), ("segment.ms", "100"))
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for future in stage.admin.incremental_alter_configs([resource]).values():
            future.result(10)

        def overtaken() -> bool:
            bounds = stage.log.admin().bounds(topic, range(PARTITIONS))
            return all(bounds[p].start > offset for p, offset in before.items())

        stage.until(overtaken, "the log starts beyond every committed offset")


class ChildTopicDeleted:
    """The topic to which tasks submit others is deleted while they do."""

    name = "child-topic-deleted"
    needs: str | None = None
    expected = (
        "tasks that submit to the deleted topic fail with record_refused and a dead letter; "
        "all others succeed"
    )

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        with Stage(scratch) as stage:
            workers, ghosts = stage.workers(), stage.workers(GHOSTS)
            workers.start("a")
            ghosts.start("g")
            stage.until_answered(stage.submit(jobs(50, sends=True)))
            stage.until(lambda: len(stage.results("ghost")) == 50, "every child has a result")
            ghosts.end("g", keep=False)
            checked = stage.check(["steady", "ghost"])
            stage.delete_topic(stage.topics.tasks("ghost"))
            mixed = [job for n in range(40) for job in jobs(1, 50 + n, sends=n % 4 == 0)]
            ids = stage.submit(mixed)
            stage.until_answered(ids)
            results = stage.results()
            for job, task_id in zip(mixed, ids, strict=True):
                result = results.get(task_id)
                told = None if result is None else (result.status, result.reason)
                wanted = ("failed", "record_refused") if job["sends"] else ("succeeded", "")
                stage.expect(told == wanted, f"{wanted}, but it is {told}", task_id)
            # Among others: one dead letter for each that failed, and for no other.
            stage.check(["steady"])
            return ScenarioOutcome(self.expected, stage.violations, checked + len(ids))


class OwnTopicDeleted:
    """The topic of a pool's results is deleted while it works."""

    name = "own-topic-deleted"
    needs: str | None = None
    expected = "the worker ends by itself and names the topic; no offset is committed after it"

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        with Stage(scratch) as stage:
            workers = stage.workers()
            workers.start("a")
            life = workers.life("a")
            assert life is not None
            stage.until_answered(stage.submit(jobs(50)))
            checked = stage.check(["steady"])
            gone = stage.topics.results("steady")
            # Without it nothing can be submitted either, so it goes while the work is under way.
            stage.submit(jobs(JOBS, 50, ms=SLOW_MS))
            stage.delete_topic(gone)
            finished = stage.finished()
            if stage.until(lambda: life.ended is not None, "the worker ends", ENDS_S):
                stage.expect(life.code == 1, f"it ends with 1, not with {life.code}")
                stage.expect(stage.says(life, "error[", gone), f"it names {gone}", str(life.log))
                stage.expect(not stage.says(life, "Traceback"), "no traceback", str(life.log))
            workers.kill("a", None)
            late = len(stage.finished() - finished)
            stage.expect(late == 0, f"no offset is committed after it: {late} were", gone)
            return ScenarioOutcome(self.expected, stage.violations, checked + JOBS)


class RightRevoked:
    """A worker loses the right to write results, and gets it back."""

    name = "right-revoked"
    needs: str | None = None
    expected = (
        "the worker ends by itself and names topic and right; given it back, a restart answers "
        "every task once"
    )

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        with Stage(scratch, GUARDED, as_user(ADMIN)) as stage:
            at = Deployment(stage.bootstrap, stage.topics.prefix)
            at.allow(WORKER, worker_rights(stage.topics, ["steady"], ["ghost"]))
            workers = stage.workers(**at.env(WORKER))
            workers.start("a")
            life = workers.life("a")
            assert life is not None
            stage.until_answered(stage.submit(jobs(50)))
            results = stage.topics.results("steady")
            right = Right("WRITE", "topic", results)
            at.take(WORKER, right)
            stage.submit(jobs(JOBS, 50))
            if stage.until(lambda: life.ended is not None, "the worker ends", ENDS_S):
                workers.kill("a", None)
                stage.expect(life.code == 1, f"it ends with 1, not with {life.code}")
                stage.expect(stage.says(life, results), f"it names {results}", str(life.log))
                stage.expect(stage.says(life, "right"), "it names the right", str(life.log))
            at.allow(WORKER, [right])
            if workers.life("a") is None:
                workers.start("a")
            stage.until_answered(stage.submitted)
            return ScenarioOutcome(self.expected, stage.violations, stage.check(["steady"]))
