"""A deployment to look at: the real runtime on a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from streams import Context, PermanentError, agent
from streams.catalog import Catalog
from streams.client import Client
from streams.inspect import seek
from streams.inspect.dead import Letters
from streams.inspect.places import Place
from streams.inspect.tasks import Tasks
from streams.ports import Clock, Committed, Log
from streams.testing import Fleet
from streams.topics import Topics

PARTITIONS = 4


@agent
async def greet(ctx: Context, name: str) -> str:
    """Greets, for a price."""
    ctx.charge("greeting", amount_micros=150)
    if name == "nobody":
        raise PermanentError("nobody is there")
    if name == "slow":
        await asyncio.sleep(3_600)
    return f"hello {name}"


class Seen(NamedTuple):
    """A deployment to look at; ``catalog`` reads what its workers have written."""

    log: Log
    topics: Topics
    catalog: Catalog
    clock: Clock

    def tasks(self) -> Tasks:
        return Tasks(*self, "greet")

    def letters(self) -> Letters:
        return Letters(*self, "greet")

    def place(self, place: Place | dict[int, Committed], partition: int | None = None) -> Any:
        return seek.plan_move(self.log, self.topics, "greet", self.clock, place, partition)


def during(look: Callable[[Client, Seen], Awaitable[None]]) -> None:
    """Run ``look`` while a worker serves the agent."""

    async def run() -> None:
        fleet = Fleet(greet)
        async with fleet as client:
            await look(client, seen(fleet, client))

    asyncio.run(run())


def after(names: list[str], look: Callable[[Seen], None]) -> None:
    """Run ``look`` when the worker has answered these tasks (keyed by their input) and left."""

    async def run() -> None:
        fleet = Fleet(greet)
        async with fleet as client:
            for name in names:
                await (await client.submit("greet", name, key=name)).record()
            for host in fleet.hosts:
                await host.stop()
            look(seen(fleet, client))

    asyncio.run(run())


def seen(fleet: Fleet, client: Client) -> Seen:
    return Seen(fleet.log, fleet.topics, client.catalog, fleet.clock)
