"""Dependencies of handlers: opened once per worker, shared, closed, replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams import Context, Retry, agent, dependency
from streams.errors import DefinitionError
from streams.worker.dependencies import Dependencies

from .simulation import Simulation, simulate


def test_a_dependency_is_opened_once_and_closed_after_the_last_task() -> None:
    events: list[str] = []

    @dependency
    async def inner() -> AsyncIterator[str]:
        events.append("open inner")
        yield "i"
        events.append("close inner")

    @dependency
    async def outer() -> AsyncIterator[str]:
        await asyncio.sleep(1)
        events.append("open outer")
        yield "o"
        events.append("close outer")

    @agent
    async def user(ctx: Context, number: int) -> str:
        value = await ctx.use(inner) + await ctx.use(outer)
        await asyncio.sleep(1)
        events.append("done")
        return value

    fleet = Simulation(user)

    async def scenario() -> None:
        async with fleet as client:
            handles = [await client.submit(user, n) for n in range(10)]
            assert {await h.result(20) for h in handles} == {"io"}
            await client.submit(user, 11)
            await asyncio.sleep(0.5)
        assert events == [
            "open inner",
            "open outer",
            *["done"] * 11,
            "close outer",
            "close inner",
        ]

    simulate(scenario)


def test_a_fake_replaces_a_dependency() -> None:
    @dependency
    async def real() -> AsyncIterator[str]:
        raise AssertionError("opened in a test")
        yield ""

    @agent
    async def user(ctx: Context, text: str) -> str:
        return await ctx.use(real) + text

    fleet = Simulation(user, replace={real: "fake "})

    async def scenario() -> None:
        async with fleet as client:
            assert await client.ask(user, "x") == "fake x"

    simulate(scenario)


def test_an_opening_that_fails_is_tried_again() -> None:
    tries: list[int] = []

    @dependency
    async def shaky() -> AsyncIterator[str]:
        tries.append(1)
        await asyncio.sleep(0.1)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        yield "up"

    @agent(retry=Retry(attempts=2, delay=1))
    async def user(ctx: Context, number: int) -> str:
        return await ctx.use(shaky)

    fleet = Simulation(user)

    async def scenario() -> None:
        async with fleet as client:
            handles = [await client.submit(user, n) for n in range(5)]
            assert [await h.result(20) for h in handles] == ["up"] * 5
            assert len(tries) == 2

    simulate(scenario)


def test_a_handler_that_is_cut_off_does_not_cancel_the_opening_of_others() -> None:
    opened: list[int] = []

    @dependency
    async def slow() -> AsyncIterator[str]:
        await asyncio.sleep(3)
        opened.append(1)
        yield "ready"

    async def scenario() -> None:
        dependencies = Dependencies()
        first = asyncio.create_task(dependencies.use(slow))
        second = asyncio.create_task(dependencies.use(slow))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "ready"
        assert opened == [1]
        await dependencies.close()

    async def virtually() -> None:
        from streams.testing.time import VirtualTime

        with VirtualTime():
            await scenario()

    simulate(virtually)


@pytest.mark.parametrize("yields", [0, 2])
def test_a_dependency_yields_once(yields: int, caplog: pytest.LogCaptureFixture) -> None:
    @dependency
    async def odd() -> AsyncIterator[int]:
        for number in range(yields):
            yield number

    async def scenario() -> None:
        dependencies = Dependencies()
        if yields == 0:
            with pytest.raises(DefinitionError, match="without a yield"):
                await dependencies.use(odd)
        else:
            assert await dependencies.use(odd) == 0
        await dependencies.close()

    simulate(scenario)
    assert ("yields more than once" in caplog.text) == (yields == 2)
