"""Partitions that nobody owns find an owner."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from streams import Context, agent
from streams.worker.balance import claims_of, is_least_laden, orphans_of
from streams.worker.ghosts import ghosts_of

from .simulation import Simulation, simulate, until


@agent
async def work(ctx: Context, number: int) -> int:
    return number


def beat(worker: str, partitions: list[int], paused: list[int]):
    pool = SimpleNamespace(agent="work", partitions=partitions, paused=paused)
    other = SimpleNamespace(agent="other", partitions=[0, 1, 2, 3], paused=[])
    return SimpleNamespace(worker_id=worker, pools=[pool, other])


def test_orphans_are_what_no_worker_that_is_heard_of_has() -> None:
    beats = [beat("a", [0], [1]), beat("b", [3], [])]
    claims = claims_of(beats, "work")
    assert claims == {"a": {0, 1}, "b": {3}}
    assert orphans_of(claims, 4) == {2}
    assert orphans_of(claims_of([beat("a", [0, 1, 2, 3], [])], "work"), 4) == frozenset()
    assert orphans_of({}, 4) == frozenset()


def test_one_worker_acts_the_one_that_has_least() -> None:
    claims = {"a": {0, 1}, "b": {2}, "c": {3}}
    assert [is_least_laden(claims, worker) for worker in "abc"] == [False, True, False]


def test_a_worker_killed_while_it_gives_partitions_up_leaves_none_to_nobody() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await fleet.hosts.pop().stop()
            first = await fleet.join("steady", static=True)
            await until(lambda: len(fleet.owned(first)) == 4)
            poll = first.pools[0]._poll
            poll.on_revoke = lambda partitions: fleet.kill(first)
            joining = asyncio.ensure_future(fleet.join("other", static=True))
            await until(lambda: fleet.member(first).state == "gone")
            again = await fleet.join("steady", static=True)
            other = await joining
            owned = lambda: sorted(fleet.owned(again) + fleet.owned(other))  # noqa: E731
            await asyncio.sleep(3)
            assert owned() == [0, 1], "nobody owns what it was giving up"
            await until(lambda: owned() == [0, 1, 2, 3], 40)
            for number in range(20):
                assert await client.ask(work, number) == number
            fleet.verify()

    simulate(scenario)


class Ghost:
    """What a coordinator remembers: it keeps its session, and nobody works for it."""

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        return {}

    def on_revoke(self, partitions: Sequence[int]) -> None:
        pass

    on_lost = on_revoke


def test_a_member_that_no_worker_stands_behind_loses_its_partitions() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            group, topic = fleet.topics.group("work"), fleet.topics.tasks("work")
            ghost = fleet.log.group_consumer(group=group, topic=topic, client_id="g", slot="gone")
            ghost.subscribe(Ghost())
            members = lambda: fleet.log.admin().group(group).members  # noqa: E731
            while not (ghost.membership().valid and len(fleet.owned(host)) == 2):
                ghost.consume(1, 0.0)
                await asyncio.sleep(0.1)
            await asyncio.sleep(15)
            assert {member.instance_id for member in members()} >= {"gone"}, "its session goes on"
            assert len(fleet.owned(host)) == 2
            await until(lambda: len(fleet.owned(host)) == 4, 30)
            assert host.pools[0].shared.renewed == 0, "who works keeps what it has"
            assert len(members()) == 1
            for number in range(20):
                assert await client.ask(work, number) == number
            fleet.verify()

    simulate(scenario)


def test_a_member_that_is_alive_or_holds_none_of_the_orphans_is_no_ghost() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            other = await fleet.join("steady", static=True)
            await until(lambda: len(fleet.owned(other)) == 2)
            identity, mine = other.pools[0].identity, set(fleet.owned(other))
            assert ghosts_of(fleet.log, identity, {"steady"}, mine) == []
            assert ghosts_of(fleet.log, identity, (), {0, 1, 2, 3} - mine) == []
            assert ghosts_of(fleet.log, identity, (), mine) == ["steady"]

    simulate(scenario)


def test_a_partition_that_another_claimed_and_the_group_left_here_is_begun_anew() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            await until(lambda: len(fleet.owned(host)) == 4)
            shared = host.pools[0].shared
            with shared.lock:
                for possession in shared.ledger.possessions.values():
                    possession.foreign = True
            assert await client.ask(work, 7, timeout=60) == 7
            assert shared.renewed == 1
            fleet.verify()

    simulate(scenario)
