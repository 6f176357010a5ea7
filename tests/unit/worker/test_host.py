"""The end of a worker that does not end by itself: it is cancelled, or one of its threads dies."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from streams import Context, Worker, agent
from streams.catalog import Catalog
from streams.client import Client
from streams.core.offsets import decode
from streams.errors import StreamsError
from streams.worker.host import Host, run_host
from streams.worker.pool import Pool

from .simulation import Simulation, simulate, until

cut: list[str] = []
GROUP = "pool.sleeper"
LONG_S = 20.0
SOON_S = 10.0


@agent(concurrency=8, timeout=600)
async def sleeper(ctx: Context, seconds: float) -> float:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        cut.append(ctx.task.task_id)
        raise
    return seconds


class Served:
    """One more worker of a fleet, as ``Worker.run`` serves it, in a slot of its own."""

    def __init__(self, fleet: Simulation) -> None:
        self.fleet = fleet
        around = replace(fleet.hosts[0]._around, slot="served", runner=fleet.crew.runner())
        self.host = Host([sleeper], around)
        self.stop = asyncio.Event()
        self.keep = asyncio.Event()
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(run_host(self.host, self.stop, self.keep, self.started))

    async def alone(self, client: Client, tasks: int) -> None:
        """Let the fleet's own worker leave, and this one begin so many long tasks."""
        await self.fleet.crew.leave(self.fleet.member(self.fleet.hosts[0]))
        await until(lambda: len(self.fleet.owned(self.host)) == 4)
        for number in range(tasks):
            await client.submit(sleeper, LONG_S, key=f"key-{number}")
        await until(lambda: len(self.host.pools[0].executor.running) == tasks)

    def ended(self) -> bool:
        """Whether all of its threads have ended."""
        pool = self.host.pools[0]
        threads = [pool._polling, pool._committing, self.host._beating, self.host._balancing]
        return not any(thread is not None and thread.alive() for thread in threads)


def members(fleet: Simulation) -> list[str]:
    return [member.client_id for member in fleet.log.admin().group(GROUP).members]


def released(fleet: Simulation) -> list[bool]:
    """Whether the last commit of each partition has the release mark."""
    found = fleet.log.admin().committed(GROUP, "tasks.sleeper", range(4))
    return [decode(c.offset, c.metadata).released for c in found.values() if c is not None]


@pytest.mark.parametrize("times", [1, 50])
def test_a_worker_that_is_cancelled_cuts_off_what_runs_and_leaves_in_order(times: int) -> None:
    """Also when it is cancelled again and again while it does so."""
    cut.clear()
    fleet = Simulation(sleeper)

    async def scenario() -> None:
        async with fleet as client:
            served = Served(fleet)
            await served.alone(client, 6)
            began = fleet.clock.monotonic()
            for _ in range(times):
                served.task.cancel()
                await asyncio.sleep(0.001)
            with pytest.raises(asyncio.CancelledError):
                await served.task
            assert fleet.clock.monotonic() - began < SOON_S, "it drained"
            assert served.ended()
            assert len(cut) == 6
            assert members(fleet) == []
            assert released(fleet) == [True] * 4
            await fleet.join("next")
            await until(lambda: len(fleet.results(sleeper)) == 6)
            fleet.verify()

    simulate(scenario)


def test_a_worker_that_is_cancelled_while_it_drains_drains_no_longer() -> None:
    cut.clear()
    fleet = Simulation(sleeper)

    async def scenario() -> None:
        async with fleet as client:
            served = Served(fleet)
            await served.alone(client, 2)
            served.stop.set()
            await asyncio.sleep(5)
            assert not served.task.done()
            assert not cut
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await served.task
            assert served.ended()
            assert len(cut) == 2
            assert members(fleet) == []

    simulate(scenario)


@pytest.mark.parametrize(("part", "call"), [(Catalog, "publish_now"), (Pool, "init")])
def test_a_worker_that_is_cancelled_while_it_starts_leaves_nothing_behind(
    part: type, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Simulation(sleeper)
    began: list[object] = []
    quick = getattr(part, call)

    def slow(*called: object) -> object:
        began.extend(called)
        fleet.crew.runner().wait_until(lambda: False, 5.0, lambda: None)
        return quick(*called)

    async def scenario() -> None:
        async with fleet:
            before = asyncio.all_tasks()
            monkeypatch.setattr(part, call, slow)
            served = Served(fleet)
            await until(lambda: bool(began))
            served.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await served.task
            assert not served.started.done()
            await asyncio.sleep(60)
            assert members(fleet) == ["pool.sleeper.slot-0"]
            assert asyncio.all_tasks() <= before
            assert served.host.heart is None

    simulate(scenario)


def test_a_worker_that_is_cancelled_while_it_joins_leaves() -> None:
    fleet = Simulation(sleeper)

    async def scenario() -> None:
        async with fleet:
            served = Served(fleet)
            await served.started
            served.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await served.task
            assert served.ended()
            await until(lambda: len(fleet.owned(fleet.hosts[0])) == 4)
            assert members(fleet) == ["pool.sleeper.slot-0"]

    simulate(scenario)


def test_a_worker_goes_on_though_nobody_waits_any_more_for_it_to_join() -> None:
    fleet = Simulation(sleeper)

    async def scenario() -> None:
        async with fleet:
            served = Served(fleet)
            served.started.cancel()
            await until(lambda: len(members(fleet)) == 2)
            served.stop.set()
            await served.task
            assert served.ended()

    simulate(scenario)


@pytest.mark.parametrize("thread", ["heart", "_balance"])
def test_a_worker_whose_thread_dies_ends_and_says_so(thread: str, monkeypatch) -> None:
    fleet = Simulation(sleeper)

    async def scenario() -> None:
        async with fleet:
            served = Served(fleet)
            await served.started
            part = getattr(served.host, thread)

            def die(*_: object) -> None:
                raise RuntimeError("out of order")

            monkeypatch.setattr(part, "_beat" if thread == "heart" else "_look", die)
            async with asyncio.timeout(60):
                with pytest.raises(StreamsError, match="out of order"):
                    await served.task
            assert served.ended()
            await until(lambda: len(fleet.owned(fleet.hosts[0])) == 4)

    simulate(scenario)


def test_entering_a_worker_that_is_cancelled_leaves_nothing_behind() -> None:
    async def run() -> None:
        worker = Worker([sleeper], bootstrap="127.0.0.1:1")
        entering = asyncio.create_task(worker.__aenter__())
        await asyncio.sleep(0.05)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
