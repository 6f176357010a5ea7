"""One simulated run: the real runtime under one plan of faults, and what is wrong afterwards."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.client import Client
from streams.core.offsets import decode
from streams.errors import SlotInUse
from streams.testing import Fleet
from streams.testing.crew import PARTITIONS, Member
from streams.testing.faults import Fault
from streams.testing.memory import Call
from streams.testing.plans import storm
from streams.verify.evidence import gather
from streams.verify.rules import judge

from . import workload
from .outcomes import Due, Watch, compare

POOLS = (workload.first.name, workload.second.name)
WORKERS = 2
PROGRESS_S = 60.0
"""I13: all is answered so soon after the last fault has healed."""
LOOK_S = 0.5
DEATHS_MAX = 24
"""How often a task may kill its worker: seven times, and more if a storm saves it from suspicion.
From then on it is not waited for."""
REST_S = 3.0
"""After the last answer: what is finished is committed, and nothing is left in memory."""


@dataclass(slots=True)
class Outcome:
    """What a run came to; ``problems`` is empty if all that must hold did."""

    seed: int
    plan: Sequence[Fault]
    problems: list[str] = field(default_factory=list[str])
    digest: int = 0
    """Checksum of every call on the log in order: the same for the same run."""
    calls: int = 0
    virtual_s: float = 0.0
    answered: int = 0


def plan_of(seed: int) -> list[Fault]:
    """The faults of a seed."""
    return storm(seed, workload.first, fatal=True)


def simulate(seed: int, plan: Sequence[Fault] | None = None) -> Outcome:
    """Run a seed, under its own plan or another."""
    outcome = Outcome(seed, plan_of(seed) if plan is None else plan)
    asyncio.run(_Run(outcome).run())
    return outcome


class _Run:
    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._killer = workload.killer_of(outcome.seed)
        self._fleet = Fleet(
            workload.first,
            workload.second,
            workers=WORKERS,
            seed=outcome.seed,
            faults=[*outcome.plan, *filter(None, [self._killer])],
        )
        self._watch = Watch(outcome.plan)
        if self._killer is not None:
            self._killer.tell = self._watch.killed
        self._accepted: dict[str, Due] = {}

    async def run(self) -> None:
        """The whole life: submit under faults, heal, wait, check, leave, check again."""
        fleet, outcome = self._fleet, self._outcome
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._note(f"loop: {context}"))
        async with fleet as client:
            fleet.log.faults.append(workload.refuse)
            fleet.log.faults.append(self._watch)
            fleet.log.faults.append(self._count)
            await self._work(client)
            outcome.virtual_s = fleet.clock.monotonic()
            for member in fleet.crew.present:
                self._note_leaks(member)
        self._verify()
        self._verify_release()

    async def _work(self, client: Client) -> None:
        seed = self._outcome.seed
        workload.poison(self._fleet.log, self._fleet.topics, seed)
        self._accepted = await workload.submit(client, seed, self._killer)
        await self._fleet.calm()
        await self._heal()
        calm = self._fleet.clock.monotonic()
        while self._fleet.clock.monotonic() < self._struck_last(calm) + PROGRESS_S:
            await asyncio.sleep(LOOK_S)
            await self._replace_stopped()
            if self._is_done():
                break
        else:
            self._note(f"I13: not all is answered and owned {PROGRESS_S:g} s after the faults")
        await asyncio.sleep(REST_S)

    def _struck_last(self, calm: float) -> float:
        """When the last fault was over; what a task that kills does is one too."""
        killer = self._killer
        if killer is None or killer.deaths > DEATHS_MAX:
            return calm
        return max(calm, killer.last_at)

    async def _heal(self) -> None:
        """What an operator does: bring back what was deleted, and see that a worker is there."""
        self._fleet.log.undelete()
        crew = self._fleet.crew
        for slot, error in crew.failures:
            if not isinstance(error, SlotInUse):
                self._note(f"worker {slot} ended: {error.message}")
        if not crew.present:
            await crew.start_again("healer")

    async def _replace_stopped(self) -> None:
        """A worker that has stopped a partition with an error is restarted: a new look at it."""
        crew = self._fleet.crew
        for member in crew.present:
            if any(pool.shared.stopped for pool in member.host.pools):
                await crew.leave(member)
                await crew.start_again(member.slot, static=member.static)

    def _is_done(self) -> bool:
        """Whether every task has its end, by the committed offsets, and each partition an owner."""
        fleet = self._fleet
        admin, topics = fleet.log.admin(), fleet.topics
        for pool in POOLS:
            group, topic = topics.group(pool), topics.tasks(pool)
            members = admin.group(group).members
            owned = sorted(p for member in members for _, p in member.partitions)
            if len(members) != len(fleet.crew.present) or owned != list(range(PARTITIONS)):
                return False
            committed = admin.committed(group, topic, range(PARTITIONS), stable=False)
            for partition, found in committed.items():
                if (found.offset if found else 0) < _end(fleet, topic, partition):
                    return False
        return True

    def _verify(self) -> None:
        fleet, outcome = self._fleet, self._outcome
        evidence = gather(fleet.log, fleet.topics, POOLS)
        report = judge(evidence, {i: task.input_hash for i, task in self._accepted.items()})
        outcome.answered = report.answered
        for violation in report.violations:
            self._note(f"{violation.invariant}: {violation.where}: {violation.message}")
        for wrong in compare(evidence, self._accepted, self._watch):
            self._note(f"outcome: {wrong}")

    def _verify_release(self) -> None:
        """Everybody left in order, so every partition that was worked on says so."""
        admin, topics = self._fleet.log.admin(), self._fleet.topics
        for pool in POOLS:
            found = admin.committed(topics.group(pool), topics.tasks(pool), range(PARTITIONS))
            for partition, committed in found.items():
                if committed is None or not decode(committed.offset, committed.metadata).released:
                    self._note(f"release: {pool}[{partition}] does not say that it was given up")

    def _note_leaks(self, member: Member) -> None:
        """I17: at rest a worker holds nothing of the tasks that it ran."""
        for pool in member.host.pools:
            executor, ledger = pool.executor, pool.shared.ledger
            held: dict[str, Any] = {
                "running": executor.running,
                "slots": executor.scheduler.running,
                "queued": executor.scheduler.queued,
                "retries": executor._waiting,
                "unclaimed": executor._unclaimed,
                "unmarked": executor._unmarked,
                "records": ledger.held,
                "lanes": [p for p in ledger.possessions.values() if p.lanes.waiting],
                "boxes": [p for p in ledger.possessions.values() if p.box],
            }
            for what, value in held.items():
                if value:
                    who = f"{member.process} of {pool.agent.name}"
                    self._note(f"I17: {who} still holds {what}: {value}")

    def _count(self, call: Call) -> None:
        outcome = self._outcome
        outcome.calls += 1
        line = f"{self._fleet.clock.now_micros()} {call.process} {call.client} {call.method}"
        outcome.digest = zlib.crc32(f"{line} {call.applied}".encode(), outcome.digest)

    def _note(self, problem: str) -> None:
        logging.getLogger("simulation").error("%s", problem)
        self._outcome.problems.append(problem)


def _end(fleet: Fleet, topic: str, partition: int) -> int:
    """One above the last record of a partition that can be read; markers are behind it."""
    records = fleet.log.records(topic, partition)
    return records[-1].offset() + 1 if records else 0
