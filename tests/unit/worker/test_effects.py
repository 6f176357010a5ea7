"""What a task causes beside its result: costs and new tasks, with it or not at all."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, Retry, agent

from .simulation import Simulation, simulate, until


def test_costs_of_all_attempts_are_in_the_result_and_in_the_topic() -> None:
    @agent(retry=Retry(attempts=3, delay=1))
    async def paid(ctx: Context, text: str) -> str:
        ctx.charge("model", amount_micros=10 * ctx.attempt, units=ctx.attempt, kind="llm")
        ctx.charge("search", amount_micros=1)
        if ctx.attempt < 3:
            raise ValueError
        return text

    fleet = Simulation(paid)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(paid, "x", tenant="acme")).record()
            assert record.cost_micros == 63
            costs = fleet.costs()
            assert [(c.attempt, c.resource, c.amount_micros) for c in costs] == [
                (1, "model", 10),
                (1, "search", 1),
                (2, "model", 20),
                (2, "search", 1),
                (3, "model", 30),
                (3, "search", 1),
            ]
            assert len({c.cost_id for c in costs}) == 6
            assert {(c.tenant, c.task_id) for c in costs} == {("acme", record.task_id)}
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize(
    "charge",
    [
        {"resource": "r", "amount_micros": 1.5},
        {"resource": "r", "amount_micros": -1},
        {"resource": "r", "amount_micros": True},
        {"resource": "r" * 2_000_000, "amount_micros": 1},
        {"resource": "\udcff", "amount_micros": 1},
        {"resource": "", "amount_micros": 1},
        {"resource": "r", "kind": "k" * 201, "amount_micros": 1},
    ],
    ids=lambda charge: repr(charge)[:40],
)
def test_a_charge_that_cannot_be_written_fails_its_task_only(charge: dict) -> None:
    @agent(retry=Retry(attempts=1))
    async def careless(ctx: Context, text: str) -> str:
        if text == "bad":
            ctx.charge(**charge)
        return text

    fleet = Simulation(careless)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(careless, "bad")).record(60)
            assert (record.status, record.reason) == ("failed", "permanent_error")
            assert await client.ask(careless, "good") == "good"

    simulate(scenario)


def test_new_tasks_appear_only_if_their_parent_ends_well() -> None:
    stale: list[Context] = []

    @agent
    async def child(ctx: Context, text: str) -> str:
        return text

    @agent(retry=Retry(attempts=2, delay=1))
    async def parent(ctx: Context, mode: str) -> str:
        task_id = await ctx.submit(child, f"{mode}-{ctx.attempt}", key="c")
        stale.append(ctx)
        if mode == "fails" or ctx.attempt == 1:
            raise ValueError("after submitting")
        return task_id

    fleet = Simulation(parent, child)

    async def scenario() -> None:
        async with fleet as client:
            task_id = await client.ask(parent, "second")
            assert (await (await client.submit(parent, "fails")).record()).status == "failed"
            await until(lambda: len(fleet.results(child)) == 1)
            await asyncio.sleep(5)
            (task,) = fleet.tasks(child)
            assert (task.task_id, task.input, task.key) == (task_id, b'"second-2"', "c")
            (origin,) = [t for t in fleet.tasks(parent) if t.input == b'"second"']
            assert (task.parent_task_id, task.run_id) == (origin.task_id, origin.run_id)
            assert fleet.results(child)[0].run_id == origin.run_id
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("ends", ["failed", "well"])
def test_an_attempt_that_is_over_can_submit_and_charge_nothing_any_more(ends: str) -> None:
    said: list[str] = []

    @agent
    async def child(ctx: Context, text: str) -> str:
        return text

    async def straggle(ctx: Context) -> None:
        await asyncio.sleep(3)
        try:
            await ctx.submit(child, "straggler")
        except Exception as error:
            said.append(str(error))
        try:
            ctx.charge("straggler", amount_micros=1)
        except Exception as error:
            said.append(str(error))

    @agent(retry=Retry(attempts=2, delay=1))
    async def parent(ctx: Context, text: str) -> str:
        if ctx.attempt == 1:
            background.append(asyncio.create_task(straggle(ctx)))
            if ends == "well":
                return text
            raise ValueError
        await asyncio.sleep(10)
        return text

    background: list[asyncio.Task[None]] = []
    fleet = Simulation(parent, child)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(parent, "x")
            await background[0]
            assert said == [
                "this attempt is over, so nothing can be submitted from it",
                "this attempt is over, so nothing can be charged from it",
            ]
            assert fleet.tasks(child) == []
            assert fleet.costs() == []
            fleet.verify()

    simulate(scenario)


def test_what_the_clean_up_of_a_cut_attempt_has_paid_for_is_charged() -> None:
    @agent(timeout=1, retry=Retry(attempts=1))
    async def slow(ctx: Context, text: str) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ctx.charge("until then", amount_micros=3)
        return text

    fleet = Simulation(slow)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(slow, "x")).record(60)
            assert (record.status, record.cost_micros) == ("failed", 3)
            fleet.verify()

    simulate(scenario)


def test_a_task_that_causes_too_much_fails() -> None:
    @agent
    async def spender(ctx: Context, count: int) -> int:
        for _ in range(count):
            ctx.charge("r", amount_micros=1)
        return count

    fleet = Simulation(spender)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(spender, 10_001)).record(60)
            assert (record.status, record.reason) == ("failed", "permanent_error")
            assert record.cost_micros == 10_000

    simulate(scenario)
