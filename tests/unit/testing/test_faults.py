"""Faults that strike a fleet."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, agent
from streams.errors import UsageError
from streams.testing import Fleet, crash_after, crash_before


@agent
async def work(ctx: Context, number: int) -> int:
    return number


@agent
async def idle(ctx: Context, number: int) -> int:
    return number


@pytest.mark.parametrize(("crash", "ran"), [(crash_after, 3), (crash_before, 1)])
def test_a_worker_dies_at_a_handler_and_another_answers(crash: type[crash_after], ran: int) -> None:
    runs: list[int] = []

    @agent
    async def counted(ctx: Context, number: int) -> int:
        runs.append(number)
        return number

    async def run() -> None:
        fleet = Fleet(counted, faults=[crash(counted, times=2)])
        async with fleet as client:
            assert await client.ask(counted, 7, timeout=120) == 7
            await fleet.calm()
            assert len(fleet.crew.members) == 3

    asyncio.run(run())
    assert runs == [7] * ran


def test_a_fault_that_never_strikes_is_said() -> None:
    async def run() -> None:
        fleet = Fleet(work, idle, faults=[crash_after(idle)])
        async with fleet as client:
            await client.ask(work, 1, timeout=120)
            with pytest.raises(UsageError, match="has not struck"):
                await fleet.calm()

    asyncio.run(run())


def test_faults_are_for_a_kafka_in_memory() -> None:
    with pytest.raises(UsageError, match="in memory only"):
        Fleet(work, kafka="127.0.0.1:9092", faults=[crash_after(work)])
