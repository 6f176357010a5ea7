"""Handlers that are told to end, and do not."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, Retry, agent

from .simulation import Simulation, simulate, stubborn_until, until


def test_a_handler_that_ignores_its_time_out_is_not_believed() -> None:
    @agent(timeout=1, retry=Retry(attempts=1))
    async def stubborn(ctx: Context, text: str) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(2)
        return "too late"

    fleet = Simulation(stubborn)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(stubborn, "x")).record(20)
            assert (record.status, record.output) == ("failed", None)

    simulate(scenario)


def test_a_handler_whose_partition_is_gone_and_that_does_not_end_is_named_and_frees_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    free = False

    @agent(timeout=600, concurrency=4)
    async def stubborn(ctx: Context, text: str) -> str:
        await stubborn_until(lambda: free)
        return text

    fleet = Simulation(stubborn)

    async def scenario() -> None:
        nonlocal free
        async with fleet as client:
            handles = [await client.submit(stubborn, "x", key=f"key-{n}") for n in range(8)]
            await until(lambda: len(fleet.hosts[0].pools[0].executor.running) == 4)
            await fleet.join("next")
            await until(lambda: "of 'stubborn' does not end" in caplog.text, 30)
            free = True
            assert [(await handle.record(60)).output for handle in handles] == ["x"] * 8
            fleet.verify()

    simulate(scenario)
