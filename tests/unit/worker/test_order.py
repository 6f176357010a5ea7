"""Order per key and the limit of what runs at once."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, Retry, RetryAfter, agent

from .simulation import Simulation, simulate


def test_tasks_of_one_key_run_in_order_retries_included() -> None:
    ran: list[tuple[str, int]] = []

    @agent(retry=Retry(attempts=3, delay=5))
    async def ordered(ctx: Context, number: int) -> int:
        assert ctx.task.key is not None
        ran.append((ctx.task.key, number))
        await asyncio.sleep(0.1)
        if number % 3 == 0 and ctx.attempt < 3:
            raise ValueError
        return number

    fleet = Simulation(ordered, seed=5)

    async def scenario() -> None:
        async with fleet as client:
            handles = [
                await client.submit(ordered, number, key=key)
                for number in range(8)
                for key in ("a", "b", "c")
            ]
            for handle in handles:
                await handle.result()
            for key in ("a", "b", "c"):
                assert [n for k, n in ran if k == key] == [0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 6, 6, 7]
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("ordering", ["key", "none"])
def test_without_order_tasks_of_one_key_run_at_once(ordering) -> None:
    at_once = most = 0

    @agent(ordering=ordering, concurrency=5)
    async def busy(ctx: Context, number: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1)
        at_once -= 1
        return number

    fleet = Simulation(busy)

    async def scenario() -> None:
        async with fleet as client:
            for handle in [await client.submit(busy, n, key="k") for n in range(12)]:
                await handle.result()
            assert most == (1 if ordering == "key" else 5)
            fleet.verify()

    simulate(scenario)


def test_a_retry_wait_frees_the_slot() -> None:
    @agent(concurrency=1, retry=Retry(attempts=2, delay=1))
    async def single(ctx: Context, text: str) -> str:
        if text == "bad" and ctx.attempt == 1:
            raise RetryAfter(50)
        return text

    fleet = Simulation(single)

    async def scenario() -> None:
        async with fleet as client:
            bad = await client.submit(single, "bad")
            await asyncio.sleep(0.5)
            assert await client.ask(single, "good", timeout=5) == "good"
            assert await bad.result(100) == "bad"

    simulate(scenario)
