"""The consumer's thread: what it publishes, waits for and bears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from streams import Context, agent
from streams.core.offsets import CompletionMap
from streams.core.outbox import Outbox
from streams.errors import LogError, MapUnreadable
from streams.ids import partition_of
from streams.ports import Committed
from streams.testing.memory import Call

from .simulation import Fails, Simulation, simulate, until


@agent
async def work(ctx: Context, number: int) -> int:
    return number


def test_the_new_generation_is_published_before_gained_partitions_are_restored() -> None:
    """Restoring blocks, and meanwhile what is kept cannot be committed under the old one."""
    fleet = Simulation(work)
    seen: list[tuple[int, int]] = []

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            kept = fleet.hosts[0].pools[0]
            leaves = await fleet.join("leaves")
            await until(lambda: len(fleet.owned(leaves)) == 2)

            def restoring(call: Call) -> None:
                if call.method == "bounds" and not call.applied:
                    generation = kept._poll._consumer.membership().generation
                    seen.append((kept.shared.ownership.membership.generation, generation))

            fleet.log.faults.append(restoring)
            await leaves.stop()
            await until(lambda: fleet.owned(fleet.hosts[0]) == [0, 1, 2, 3])
            assert seen
            assert all(published == current for published, current in seen)

    simulate(scenario)


class BusyCommitter:
    """A runner whose committer works while it waits, and whose handlers never stop ending."""

    def __init__(self, fleet: Simulation) -> None:
        self._shared = fleet.hosts[0].pools[0].shared
        self.rounds: list[int] = []

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float, tick: Callable[[], None]
    ) -> bool:
        ledger = self._shared.ledger
        possession = ledger.possessions[0]
        for number in range(50):
            if condition():
                self.rounds.append(number)
                return True
            plan = ledger.plan(self._shared.ownership, 2_000)
            offset = possession.progress.next
            possession.progress.fetched(offset)
            ledger.finish(Outbox(0, possession.epoch, offset, (), None))
            if plan is not None:
                ledger.settle(plan)
        return False


def test_a_release_waits_for_one_more_transaction_and_no_longer() -> None:
    """Handlers go on ending while the mark is committed: all of them cannot be waited for."""
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            poll = fleet.hosts[0].pools[0]._poll
            runner, poll._runner = poll._runner, BusyCommitter(fleet)  # type: ignore[assignment]
            poll._release([0], 2.0)
            assert poll._runner.rounds == [1, 1]
            poll._runner = runner

    simulate(scenario)


def test_an_unreadable_map_met_in_a_recovery_stops_its_partition_alone() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            for number in range(20):
                await client.ask(work, number)
            spoilt = fleet.tasks(work) and fleet.read("tasks.work")[0].partition()
            fleet.log._broker.groups["pool.work"].offsets["tasks.work", spoilt] = Committed(
                1, "not a map"
            )
            fleet.log.faults.append(Fails("commit", LogError("_TIMED_OUT"), applied=False))
            handles = [await client.submit(work, n) for n in range(20, 60)]
            await asyncio.sleep(20)
            pool = fleet.hosts[0].pools[0]
            assert pool.failure is None
            assert [type(e) for e in pool.shared.stopped.values()] == [MapUnreadable]
            assert list(pool.shared.stopped) == [spoilt]
            answered = {r.task_id for r in fleet.results(work)}
            elsewhere = {
                t.task_id
                for t, r in zip(fleet.tasks(work), fleet.read("tasks.work"), strict=True)
                if r.partition() != spoilt
            }
            assert elsewhere <= answered
            assert {h.task_id for h in handles} - answered, "none was on that partition"
            kept = fleet.log._broker.groups["pool.work"].offsets["tasks.work", spoilt]
            assert kept.metadata == "not a map", "it was written over"

    simulate(scenario)


def test_a_partition_that_was_disowned_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it has open will never be committed here: it must not count for ever."""
    most = 40
    monkeypatch.setattr("streams.worker.pool.HELD_MIN", most)
    key_of = {partition_of(key.encode(), 4): key for key in map(str, range(100))}

    @agent(concurrency=4)
    async def slow(ctx: Context, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    fleet = Simulation(slow)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(slow, 0, key=key_of[1])
            last = await client.submit(slow, 5, key=key_of[1])
            await asyncio.gather(*(client.submit(slow, 50, key=key_of[0]) for _ in range(2 * most)))
            pool = fleet.hosts[0].pools[0]
            await until(lambda: pool.shared.ledger.held > most, 4)
            fleet.log._broker.group("pool.slow").offsets["tasks.slow", 0] = Committed(0, "no map")
            fleet.log.faults.append(Fails("commit", LogError("_TIMED_OUT")))
            assert await last.result(20) == 5
            assert list(pool.shared.stopped) == [0]
            for partition in (1, 2, 3):
                assert await client.ask(slow, 0, key=key_of[partition], timeout=20) == 0
            await until(lambda: not pool.shared.ledger.held)
            assert pool.shared.paused == {0}

    simulate(scenario)


def test_records_of_a_partition_that_was_disowned_before_its_claim_are_let_go() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            pool = fleet.hosts[0].pools[0]
            possession = pool.shared.ledger.gain(9, CompletionMap(0, 0))
            pool.executor.deliver([(possession, fleet.log.records("tasks.work", 0))])
            assert list(pool.executor._unclaimed) == [possession]
            pool.shared.ledger.disown(9)
            pool.executor.settled()
            pool.executor.deliver([(possession, fleet.log.records("tasks.work", 0))])
            assert not pool.executor._unclaimed
            assert pool.executor.scheduler.queued == 0
            pool.shared.ledger.end([9])

    simulate(scenario)


def test_reading_the_schemas_of_others_is_not_being_stopped() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            pool = fleet.hosts[0].pools[0]
            learn = pool._poll._schemas._learn

            def slowly() -> None:
                fleet._time.advance(5.0)
                learn()

            pool._poll._schemas._learn = slowly
            fleet.write(work, 0, b"k", b"\xc3\x01unknown." + b"?" * 20)
            await until(lambda: len(fleet.dead(work)) == 1)
            assert pool.shared.renewed == 0

    simulate(scenario)
