"""Partitions change hands: workers die, freeze, join and leave; each task is answered once."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from streams import Context, Retry, agent
from streams.core.offsets import INCOMPLETE_MAX, CompletionMap, decode
from streams.errors import LogError
from streams.ports import Committed
from streams.testing.memory import Call
from streams.worker.host import Host, run_host

from .simulation import Fails, Simulation, make, simulate, submitted, until


async def answered(fleet: Simulation, work, handles) -> None:
    records = [await handle.record(200) for handle in handles]
    assert [r.output for r in records] == list(range(len(handles)))
    assert len(fleet.results(work)) == len(handles)
    fleet.verify()


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.31, 0.32, 0.33, 0.7, 1.5])
def test_two_workers_share_and_one_is_killed(after_s: float) -> None:
    work, starts, fleet = make({"workers": 2})

    async def scenario() -> None:
        async with fleet as client:
            await until(lambda: all(len(fleet.owned(h)) == 2 for h in fleet.hosts))
            handles = await submitted(fleet, client, work)
            await asyncio.sleep(after_s)
            fleet.kill(fleet.hosts[0])
            await answered(fleet, work, handles)
            assert fleet.owned(fleet.hosts[1]) == [0, 1, 2, 3]
            assert max(starts.values()) <= 4

    simulate(scenario)


@pytest.mark.parametrize("phase", ["begin", "produce", "send_offsets", "commit"])
@pytest.mark.parametrize("applied", [False, True])
def test_a_worker_dies_in_the_middle_of_a_transaction(phase: str, applied: bool) -> None:
    work, _, fleet = make({"workers": 2})
    calls = 0

    def die(call: Call) -> None:
        nonlocal calls
        if (call.client, call.method, call.applied) == ("pool.work.slot-0", phase, applied):
            calls += 1
            if calls == 9:
                fleet.kill(fleet.hosts[0])
                raise LogError("_DESTROY", fatal=True)

    async def scenario() -> None:
        async with fleet as client:
            await until(lambda: all(len(fleet.owned(h)) == 2 for h in fleet.hosts))
            fleet.log.faults.append(die)
            handles = await submitted(fleet, client, work)
            await answered(fleet, work, handles)
            assert calls >= 9

    simulate(scenario)


@pytest.mark.parametrize("seconds", [3.0, 5.0, 8.0, 20.0])
def test_a_worker_is_stopped_and_goes_on(seconds: float) -> None:
    work, _, fleet = make({"workers": 2})

    async def scenario() -> None:
        async with fleet as client:
            await until(lambda: all(len(fleet.owned(h)) == 2 for h in fleet.hosts))
            handles = await submitted(fleet, client, work)
            await asyncio.sleep(0.4)
            stopped = fleet.hosts[0]
            fleet.freeze(stopped)
            await asyncio.sleep(seconds)
            fleet.thaw(stopped)
            await answered(fleet, work, handles)
            await until(lambda: all(len(fleet.owned(h)) == 2 for h in fleet.hosts))
            assert stopped.pools[0].failure is None
            assert stopped.pools[0].shared.renewed == (1 if seconds > 4.5 else 0)

    simulate(scenario)


def test_workers_join_and_leave_in_a_storm() -> None:
    work, starts, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            handles = await submitted(fleet, client, work, 300)
            for number in range(6):
                joined = await fleet.join(f"more-{number}")
                await asyncio.sleep(0.7)
                await (joined if number % 2 else fleet.hosts[0]).stop()
                if not number % 2:
                    fleet.hosts.pop(0)
                await asyncio.sleep(0.2)
            await answered(fleet, work, handles)
            assert sum(starts.values()) < 2 * 300

    simulate(scenario)


def test_a_slot_that_comes_back_goes_on() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await fleet.hosts[0].stop()
            first = await fleet.join("steady", static=True)
            handles = await submitted(fleet, client, work)
            await asyncio.sleep(0.5)
            fleet.kill(first)
            again = await fleet.join("steady", static=True)
            await answered(fleet, work, handles)
            assert again.pools[0].failure is None

    simulate(scenario)


def test_what_is_released_is_no_death() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            for number in range(5):
                handles = await submitted(fleet, client, work, 30)
                await asyncio.sleep(0.1)
                host = fleet.hosts.pop()
                await host.stop()
                committed = fleet.log.admin().committed("pool.work", "tasks.work", range(4))
                for found in committed.values():
                    assert found is not None
                    left = decode(found.offset, found.metadata)
                    assert (left.released, left.deaths) == (True, 0)
                await fleet.join(f"next-{number}")
                for handle in handles:
                    await handle.record(100)
            fleet.verify()

    simulate(scenario)


def test_a_partition_given_up_right_after_its_tasks_were_started_leaks_nothing() -> None:
    """A cancelled asyncio task that made no step runs no line of its own."""
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            executor = fleet.hosts[0].pools[0].executor
            seen = 0

            def start(admitted) -> None:
                nonlocal seen
                original(admitted)
                if seen == 0 and executor.running:
                    seen = len(executor.running)
                    # As when the consumer loses all before the loop has turned.
                    fleet.hosts[0].pools[0]._poll.on_lost([0, 1, 2, 3])
                    executor.ended(list({w.possession for w in executor.running}))

            original, executor.deliver = executor.deliver, start
            handles = await submitted(fleet, client, work, 8)
            await until(lambda: seen > 0)
            await asyncio.sleep(1)
            assert executor.running == {}
            assert executor.scheduler.running == 0
            fleet.kill(fleet.hosts[0])
            await fleet.join("next")
            for number, handle in enumerate(handles):
                assert (await handle.record(60)).output == number
            fleet.verify()

    simulate(scenario)


def test_a_new_owner_of_a_crowded_partition_fetches_what_is_left() -> None:
    """More is known to be incomplete than may be open: pausing would keep it away for ever."""

    @agent(concurrency=500, ordering="none")
    async def quick(ctx: Context, number: int) -> int:
        await asyncio.sleep(0.05)
        return number

    fleet = Simulation(quick)

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            await host.stop()
            handles = [await client.submit(quick, n, key="one") for n in range(2_200)]
            (partition,) = {r.partition() for r in fleet.read("tasks.quick")}
            # As an owner left it that had finished what the first fetches bring, and died.
            holes = (0, *range(700, 700 + INCOMPLETE_MAX - 101))
            left = CompletionMap(0, holes[-1] + 1, holes, "pool.quick.gone", 3)
            fleet.log.admin().set_committed(
                "pool.quick", "tasks.quick", {partition: Committed(0, left.encode())}
            )
            await fleet.join("next")
            for number, handle in enumerate(handles):
                if number in set(holes) or number >= left.high:
                    assert (await handle.record(100)).output == number
            await asyncio.sleep(1)
            assert len(fleet.results(quick)) == len(holes) + 2_200 - left.high

    simulate(scenario)


def test_restoring_bears_a_log_that_answers_late() -> None:
    work, _, fleet = make()

    def of(call: Call) -> bool:
        return call.args[0] == "tasks.work"

    async def scenario() -> None:
        async with fleet as client:
            await fleet.hosts.pop().stop()
            fleet.log.faults.append(Fails("committed", LogError("_TIMED_OUT"), times=4, client=""))
            fleet.log.faults.append(
                Fails("bounds", LogError("LEADER_NOT_AVAILABLE"), times=3, client="admin", when=of)
            )
            handles = await submitted(fleet, client, work, 20)
            await fleet.join("next")
            await answered(fleet, work, handles)

    simulate(scenario)


@pytest.mark.parametrize("fails_first", [False, True])
def test_a_task_that_kills_its_worker_is_dead_lettered_alone(fails_first: bool) -> None:
    deaths: list[int] = []

    @agent(concurrency=10, retry=Retry(attempts=3, delay=0.1))
    async def mixed(ctx: Context, number: int) -> int:
        await asyncio.sleep(0.2)
        if number == 50:
            if fails_first and len(deaths) >= 3 and ctx.attempt % 3:
                raise ValueError("this time only an error")
            deaths.append(ctx.attempt)
            fleet.kill(fleet.hosts[-1])
            await asyncio.sleep(math.inf)
        return number

    fleet = Simulation(mixed)

    async def scenario() -> None:
        async with fleet as client:
            handles = [await client.submit(mixed, n, key=f"key-{n % 17}") for n in range(101)]
            for number in range(12):
                seen = len(deaths)
                try:
                    await until(lambda seen=seen: len(deaths) > seen, 40)
                except TimeoutError:
                    break
                await fleet.join(f"life-{number}")
            records = [await handle.record(10) for handle in handles]
            for number, record in enumerate(records):
                assert record.status == ("failed" if number == 50 else "succeeded"), number
            assert len(deaths) <= 7, "it killed again and again"
            assert records[50].reason == "killed_worker"
            (letter,) = fleet.dead(mixed)
            assert (letter.task_id, letter.reason) == (records[50].task_id, "killed_worker")
            assert letter.attempts == 3
            fleet.verify()

    simulate(scenario)


def test_a_worker_that_is_stopped_before_it_began_joins_nothing() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet:
            late = Host([work], replace(fleet.hosts[0]._around, slot="late"))
            stop = asyncio.Event()
            stop.set()
            await run_host(late, stop, asyncio.Event())
            assert late.pools == []
            await asyncio.sleep(10)
            members = fleet.log.admin().group(fleet.topics.group("work")).members
            assert [member.client_id for member in members] == ["pool.work.slot-0"]

    simulate(scenario)


@pytest.mark.parametrize("whose", ["own", "of the dead"])
def test_an_offset_that_no_transaction_knows_holds_no_partition_for_ever(whose: str) -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            handles = await submitted(fleet, client, work, 30)
            await answered(fleet, work, handles)
            (host,) = fleet.hosts
            poll = host.pools[0]._poll
            renew = poll._renew

            def hang() -> None:
                fleet.log.hang("pool.work.slot-0", "pool.work", "tasks.work", 2)
                renew()

            if whose == "own":
                # After what it had was released, and before it is given anything again.
                poll._renew = hang
                host.pools[0].rejoin()
            else:
                fleet.kill(host)
                await fleet.join("next")
                fleet.log.hang("pool.work.slot-0", "pool.work", "tasks.work", 2)
            later = [await client.submit(work, n, key=f"key-{n % 17}") for n in range(30)]
            for number, handle in enumerate(later):
                assert (await handle.record(100)).output == number
            fleet.verify()

    simulate(scenario)


def test_an_offset_that_arrives_late_is_ended_before_its_partition_changes_hands() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            fleet.log.faults.append(Fails("commit", LogError("_TIMED_OUT", retriable=True)))
            await client.ask(work, 2)
            fleet.log.hang("pool.work.slot-0", "pool.work", "tasks.work", 2)
            admin = fleet.log.admin()

            def stable() -> bool:
                try:
                    admin.committed("pool.work", "tasks.work", [2])
                except LogError:
                    return False
                return True

            assert not stable()
            await until(stable, 60)
            assert fleet.owned(fleet.hosts[0]) == [0, 1, 2, 3]
            assert fleet.hosts[0].pools[0].shared.renewed == 0
            fleet.verify()

    simulate(scenario)


def test_an_offset_of_a_live_worker_that_arrives_when_it_gave_up_holds_nobody_for_ever() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            assert await client.ask(work, 1) == 1
            poll = fleet.hosts[0].pools[0]._poll
            revoke = poll.on_revoke

            def give_up(partitions: list[int]) -> None:
                revoke(partitions)
                for partition in partitions:
                    fleet.log.hang("pool.work.slot-0", "pool.work", "tasks.work", partition)

            poll.on_revoke = give_up
            joined = await fleet.join("next")
            await until(lambda: len(fleet.owned(joined)) == 2, 60)
            handles = await submitted(fleet, client, work, 40)
            assert [(await h.record(60)).output for h in handles] == list(range(40))
            fleet.verify()
            assert all(host.pools[0].failure is None for host in fleet.hosts)

    simulate(scenario)
