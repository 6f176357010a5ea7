"""Nothing that one task or one partition does makes the others of its process wait for ever."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, Retry, agent
from streams.core.offsets import CompletionMap
from streams.ids import partition_of
from streams.ports import Committed
from streams.worker import poll, room

from .simulation import Simulation, simulate, stubborn_until, until
from .test_quarantine import other, suspect, suspected

PLACE = 1


def keys_of(place: int) -> list[str]:
    """Keys whose tasks go to one partition of four."""
    return [f"k{n}" for n in range(400) if partition_of(f"k{n}".encode(), 4) == place]


def test_a_suspect_of_a_foreign_partition_stops_nobody() -> None:
    fleet = Simulation(suspected, other)

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            shared = host.pools[0].shared
            await until(lambda: len(fleet.owned(host)) == 4)
            await until(lambda: all(p.claimed for p in shared.ledger.possessions.values()))
            suspect(host, "suspected")
            with shared.lock:
                shared.ledger.disown(PLACE)
            await client.submit(suspected, "x", key=keys_of(PLACE)[0])
            await asyncio.sleep(2)
            assert await client.ask(other, "y", timeout=10) == "y"

    simulate(scenario)


def test_a_suspect_that_lost_its_partition_and_does_not_end_stops_nobody() -> None:
    begun: list[str] = []
    free = False

    @agent
    async def stubborn(ctx: Context, text: str) -> str:
        begun.append(text)
        await stubborn_until(lambda: free)
        return text

    fleet = Simulation(stubborn, other)

    async def scenario() -> None:
        nonlocal free
        async with fleet as client:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            suspect(host, "stubborn")
            await client.submit(stubborn, "x")
            await until(lambda: bool(begun))
            host.pools[0].rejoin()
            try:
                assert await client.ask(other, "y", timeout=60) == "y"
            finally:
                free = True

    simulate(scenario)


def test_a_mark_is_taken_back_only_by_whoever_set_it() -> None:
    begun: list[str] = []
    free = False

    @agent(timeout=1, retry=Retry(attempts=3, delay=20))
    async def mixed(ctx: Context, text: str) -> str:
        begun.append(text)
        if text == "stuck":
            await stubborn_until(lambda: free)
            raise ValueError("late")
        await asyncio.sleep(0.9)
        return text

    fleet = Simulation(mixed)

    async def scenario() -> None:
        nonlocal free
        async with fleet as client:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            suspect(host, "mixed")
            possession = host.pools[0].shared.ledger.possessions[PLACE]
            await client.submit(mixed, "stuck", key=keys_of(PLACE)[0])
            await until(lambda: bool(begun))
            await client.submit(mixed, "second", key=keys_of(PLACE)[1])
            await until(lambda: "second" in begun, 100)
            assert possession.running == possession.marked == (1, 1)
            free = True
            await asyncio.sleep(0.6)
            assert possession.running == (1, 1), "it runs, and is not marked any more"

    simulate(scenario)


def test_nothing_of_a_foreign_partition_is_started_any_more() -> None:
    begun: list[str] = []

    @agent(concurrency=1)
    async def paid(ctx: Context, text: str) -> str:
        begun.append(text)
        await asyncio.sleep(1)
        return text

    fleet = Simulation(paid)

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            for number in range(10):
                await client.submit(paid, str(number), key=keys_of(PLACE)[0])
            await until(lambda: len(begun) == 2)
            shared = host.pools[0].shared
            with shared.lock:
                shared.ledger.disown(PLACE)
            await asyncio.sleep(12)
            assert len(begun) <= 3

    simulate(scenario)


def test_an_error_about_a_partition_that_was_given_up_meanwhile_does_not_wait_for_it() -> None:
    fleet = Simulation(other)

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            pool = host.pools[0]
            assert await client.ask(other, "a", timeout=30) == "a"
            two = await fleet.join("two")
            await until(lambda: len(fleet.owned(host)) == 2)
            gone = next(p for p in range(4) if p not in fleet.owned(host))
            fleet.log.misread("pool.other", "tasks.other", gone, "1garbage")
            # A recovery had listed it a moment ago.
            committer = pool._committer
            doubt = committer._witness.doubt()
            await host._around.runner.call(lambda: committer._committed([gone], doubt))
            await two.stop()
            await until(lambda: len(fleet.owned(host)) == 4)
            assert await client.ask(other, "b", key=keys_of(gone)[0], timeout=60) == "b"

    simulate(scenario)


def test_a_rejoin_waits_for_a_drain() -> None:
    begun: list[str] = []
    ended: list[str] = []

    @agent
    async def slow(ctx: Context, text: str) -> str:
        begun.append(text)
        await asyncio.sleep(10)
        ended.append(text)
        return text

    fleet = Simulation(slow)

    async def scenario() -> None:
        async with fleet as client:
            host = fleet.hosts.pop()
            await client.submit(slow, "x")
            await until(lambda: bool(begun))
            stopping = asyncio.ensure_future(host.stop())
            await asyncio.sleep(0.1)
            host.pools[0].rejoin()
            await stopping
            assert ended == ["x"]

    simulate(scenario)


@pytest.mark.parametrize("ran_alone", [True, False])
def test_what_others_wait_for_is_fetched_although_too_much_is_held(
    monkeypatch: pytest.MonkeyPatch, ran_alone: bool
) -> None:
    monkeypatch.setattr(poll, "FETCH_MAX", 5)

    @agent(concurrency=10)
    async def work(ctx: Context, text: str) -> str:
        return "done"

    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, "x" * 1000, key=keys_of(0)[0])
            await fleet.hosts.pop().stop()
            hot, cold = keys_of(PLACE)[:2]
            handles = [await client.submit(work, "x" * 1000, key=hot) for _ in range(30)]
            handles.append(await client.submit(work, "x" * 1000, key=cold))
            running = (30, 1) if ran_alone else None
            left = CompletionMap(
                0, 31, tuple(range(31)), "pool.work.gone", 7, False, 3, 31, running
            )
            fleet.log.admin().set_committed(
                "pool.work", "tasks.work", {PLACE: Committed(0, left.encode())}
            )
            monkeypatch.setattr(room, "HELD_BYTES_MAX", 10_000)
            await fleet.join("next")
            for handle in handles:
                assert await handle.result(100) == "done"

    simulate(scenario)
