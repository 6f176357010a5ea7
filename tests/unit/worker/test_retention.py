"""Retention removes what is done; a partition that was idle for that long goes on."""

from __future__ import annotations

import asyncio

from streams import Context, agent
from streams.avro import encode
from streams.testing.memory import Call

from .simulation import Simulation, simulate, until


@agent
async def child(ctx: Context, text: str) -> str:
    return text


@agent
async def parent(ctx: Context, text: str) -> str:
    await ctx.submit(child, text, key="k")
    return text


def test_a_partition_that_ends_in_a_marker_outlives_the_retention_of_its_records() -> None:
    """A child's record and the marker of its parent's transaction: retention removes both."""
    fleet = Simulation(child, parent)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(parent, "x", key="k")
            await until(lambda: len(fleet.results(child)) == 1)
            await asyncio.sleep(5)
            for partition, bounds in fleet.log.admin().bounds("tasks.child", range(4)).items():
                fleet.log.delete_before("tasks.child", partition, bounds.end)
            await fleet.hosts[0].stop()
            host = await fleet.join("next")
            assert await asyncio.wait_for(client.ask(child, "y", key="k"), 60) == "y"
            assert host.pools[0].shared.stopped == {}

    simulate(scenario)


def test_an_idle_pool_commits_the_end_once() -> None:
    fleet = Simulation(child, parent)
    commits: list[str] = []

    def count(call: Call) -> None:
        if call.method == "commit" and call.applied:
            commits.append(call.client)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(parent, "x", key="k")
            await until(lambda: len(fleet.results(child)) == 1)
            await asyncio.sleep(5)
            fleet.log.faults.append(count)
            await asyncio.sleep(60)
            assert commits == []

    simulate(scenario)


def test_an_open_transaction_is_not_jumped_over() -> None:
    fleet = Simulation(child)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(child, "x", key="k")
            (task,) = fleet.tasks(child)
            partition = fleet.read("tasks.child")[0].partition()
            writer = fleet.log.transactional_producer("slow", group="other")
            writer.init(1)
            writer.begin()
            task.task_id = "held-back"
            writer.produce("tasks.child", partition, b"k", encode(task))
            await asyncio.sleep(3)
            writer.commit(1)
            await until(lambda: len(fleet.results(child)) == 2)
            fleet.verify()

    simulate(scenario)
