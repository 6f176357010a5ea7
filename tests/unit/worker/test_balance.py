"""Partitions that nobody owns find an owner."""

from __future__ import annotations

import asyncio

from streams import Context, agent
from streams.ports import GroupInfo, Member
from streams.worker.balance import is_least_laden, orphans_of

from .simulation import Simulation, simulate, until


@agent
async def work(ctx: Context, number: int) -> int:
    return number


def group(*owned: tuple[int, ...], state: str = "stable") -> GroupInfo:
    members = [
        Member(f"id-{n}", f"client-{n}", "", "h", tuple(("tasks.work", p) for p in partitions))
        for n, partitions in enumerate(owned)
    ]
    return GroupInfo("pool.work", state, tuple(members))


def test_orphans_are_what_a_stable_group_with_members_does_not_own() -> None:
    assert orphans_of(group((0, 1), (3,)), 4) == {2}
    assert orphans_of(group((0, 1), (2, 3)), 4) == frozenset()
    assert orphans_of(group((0,), state="preparing_rebalancing"), 4) == frozenset()
    assert orphans_of(group(), 4) == frozenset()


def test_one_member_acts_the_one_that_owns_least() -> None:
    crooked = group((0, 1), (2,), (3,))
    assert [is_least_laden(crooked, f"client-{n}") for n in range(3)] == [False, True, False]


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
            await until(lambda: owned() == [0, 1, 2, 3], 20)
            for number in range(20):
                assert await client.ask(work, number) == number
            fleet.verify()

    simulate(scenario)
