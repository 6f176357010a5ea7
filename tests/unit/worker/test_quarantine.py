"""Quarantine slows a process down and does not stop it, whatever else runs in it."""

from __future__ import annotations

import asyncio
import math

from streams import Context, Retry, agent
from streams.core.ledger import DEATHS_MAX
from streams.ids import partition_of
from streams.worker.host import Host
from streams.worker.quarantine import GROUP_MAX

from .simulation import Simulation, simulate, stubborn_until, until


@agent
async def suspected(ctx: Context, text: str) -> str:
    return text


@agent
async def other(ctx: Context, text: str) -> str:
    return text


def suspect(host: Host, name: str) -> None:
    """As if owners of all its partitions had died too often in a row."""
    (pool,) = [pool for pool in host.pools if pool.agent.name == name]
    for possession in pool.shared.ledger.possessions.values():
        possession.deaths, possession.suspects_below = DEATHS_MAX + 1, 1_000


def test_a_long_task_does_not_make_a_quarantine_hold_all_others() -> None:
    begun: list[str] = []

    @agent
    async def long(ctx: Context, text: str) -> str:
        begun.append(text)
        await asyncio.sleep(90)
        return text

    fleet = Simulation(long, suspected, other)

    async def scenario() -> None:
        async with fleet as client:
            slow = await client.submit(long, "x")
            await until(lambda: bool(begun))
            suspect(fleet.hosts[0], "suspected")
            alone = await client.submit(suspected, "y")
            await until(lambda: fleet.hosts[0].pools[1].executor.scheduler.quarantined == 1)
            for number in range(3):
                assert await client.ask(other, str(number), timeout=20) == str(number)
            assert fleet.results(long) + fleet.results(suspected) == []
            assert await slow.result(700) == "x"
            assert await alone.result(60) == "y"

    simulate(scenario)


def test_a_handler_that_ignores_its_cut_does_not_hold_a_quarantine() -> None:
    begun: list[str] = []
    free = False

    @agent(timeout=1, retry=Retry(attempts=1))
    async def stubborn(ctx: Context, text: str) -> str:
        begun.append(text)
        await stubborn_until(lambda: free)
        return text

    fleet = Simulation(stubborn, suspected)

    async def scenario() -> None:
        nonlocal free
        async with fleet as client:
            await client.submit(stubborn, "x")
            await until(lambda: bool(begun))
            suspect(fleet.hosts[0], "suspected")
            assert await client.ask(suspected, "y", timeout=60) == "y"
            assert not fleet.results(stubborn)
            free = True
            await until(lambda: len(fleet.results(stubborn)) == 1)

    simulate(scenario)


def test_a_suspect_that_waits_for_its_retry_does_not_save_the_one_that_kills() -> None:
    """There is one count in a partition's map: whoever takes it over would begin it anew."""
    deaths: list[int] = []

    @agent(concurrency=10, retry=Retry(attempts=3, delay=5))
    async def mixed(ctx: Context, number: int) -> int:
        await asyncio.sleep(0.05)
        if number == 3:
            raise ValueError("again and again")
        if number == 7:
            deaths.append(ctx.attempt)
            fleet.kill(fleet.hosts[-1])
            await asyncio.sleep(math.inf)
        return number

    fleet = Simulation(mixed)

    async def scenario() -> None:
        async with fleet as client:
            keys = [f"k{n}" for n in range(1_000) if partition_of(f"k{n}".encode(), 4) == 1]
            handles = [await client.submit(mixed, n, key=keys[n]) for n in range(12)]
            for life in range(12):
                try:
                    await until(lambda life=life: len(deaths) > life, 60)
                except TimeoutError:
                    break
                await fleet.join(f"life-{life}")
            # Unsuspected, in a group, alone.
            assert len(deaths) == DEATHS_MAX + 1 + 1 + 3, deaths
            records = [await handle.record(100) for handle in handles]
            assert [n for n, r in enumerate(records) if r.status == "failed"] == [3, 7]
            assert [records[3].reason, records[7].reason] == ["attempts_exhausted", "killed_worker"]
            fleet.verify()

    simulate(scenario)


def test_a_killer_that_came_after_the_first_death_is_suspected_too() -> None:
    """Else it kills each owner while a suspect waits for its retry, and none is ever the last."""
    lives: list[int] = []

    @agent(concurrency=100, retry=Retry(attempts=2, delay=5))
    async def mixed(ctx: Context, number: int) -> int:
        if number >= 100:
            lives.append(number)
            fleet.kill(fleet.hosts[-1])
            await asyncio.sleep(math.inf)
        if ctx.attempt == 1:
            raise ValueError("only once")
        return number

    fleet = Simulation(mixed)

    async def scenario() -> None:
        async with fleet as client:
            keys = [f"k{n}" for n in range(1_000) if partition_of(f"k{n}".encode(), 4) == 1]
            handles = [await client.submit(mixed, n, key=keys[n]) for n in (*range(3), 100)]
            for life in range(30):
                try:
                    await until(lambda life=life: len(lives) > life, 60)
                except TimeoutError:
                    break
                if life == 1:
                    handles += [await client.submit(mixed, n, key=keys[n]) for n in (3, 101)]
                await fleet.join(f"life-{life}")
            records = [await handle.record(100) for handle in handles]
            assert [r.reason for r in records if r.status == "failed"] == ["killed_worker"] * 2
            assert [r.status for r in records].count("succeeded") == 4
            assert len(lives) < 20, lives
            fleet.verify()

    simulate(scenario)


def test_many_suspects_run_in_groups_for_a_transaction_each_and_nothing_beside_them() -> None:
    under_way = [0, 0]
    most = [0, 0]
    tasks = 6 * GROUP_MAX

    def count(index: int, by: int) -> None:
        under_way[index] += by
        most[index] = max(most[index], under_way[index])
        assert not all(under_way), "another one beside a group"

    @agent(concurrency=100)
    async def many(ctx: Context, number: int) -> int:
        count(0, 1)
        await asyncio.sleep(0.5)
        count(0, -1)
        return number

    @agent
    async def beside(ctx: Context, number: int) -> int:
        count(1, 1)
        await asyncio.sleep(0.1)
        count(1, -1)
        return number

    fleet = Simulation(many, beside)

    async def scenario() -> None:
        async with fleet as client:
            pool = fleet.hosts[0].pools[0]
            await until(lambda: len(pool.shared.ledger.possessions) == 4)
            suspect(fleet.hosts[0], "many")
            keys = [f"k{n}" for n in range(8 * tasks) if partition_of(f"k{n}".encode(), 4) == 1]
            handles = [await client.submit(many, n, key=keys[n]) for n in range(tasks)]
            others = [await client.submit(beside, n) for n in range(10)]
            await until(lambda: pool.executor.scheduler.quarantined > 2 * GROUP_MAX)
            commits = pool.shared.stats.commits
            for number, handle in enumerate(handles):
                assert await handle.result(200) == number
            assert [await other.result(200) for other in others] == list(range(10))
            assert pool.shared.stats.commits - commits < tasks / 8, "one for each"
            assert most == [GROUP_MAX, 10]
            left = pool.shared.ledger.possessions.values()
            await until(lambda: all(p.running is None and p.marked is None for p in left))
            fleet.verify()

    simulate(scenario)


def test_a_group_that_kills_its_worker_is_searched_for_the_one_that_did() -> None:
    lives: list[int] = []

    @agent(concurrency=100, retry=Retry(attempts=2))
    async def deadly(ctx: Context, number: int) -> int:
        await asyncio.sleep(0.5)
        if number == 20:
            lives.append(ctx.attempt)
            fleet.kill(fleet.hosts[-1])
            await asyncio.sleep(math.inf)
        return number

    fleet = Simulation(deadly)

    async def scenario() -> None:
        async with fleet as client:
            keys = [f"k{n}" for n in range(1_000) if partition_of(f"k{n}".encode(), 4) == 1]
            handles = [await client.submit(deadly, n, key=keys[n]) for n in range(60)]
            expected = DEATHS_MAX + 1 + 1 + 2
            for life in range(expected):
                await until(lambda life=life: len(lives) > life, 100)
                await fleet.join(f"life-{life}")
            records = [await handle.record(100) for handle in handles]
            assert [n for n, r in enumerate(records) if r.status == "failed"] == [20]
            assert records[20].reason == "killed_worker"
            assert lives == [1] * (expected - 1) + [2]
            fleet.verify()

    simulate(scenario)
