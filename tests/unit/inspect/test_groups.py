"""What look-ups say about groups, and how a group is moved."""

from __future__ import annotations

import asyncio
import shlex

import pytest

from streams.client import Client
from streams.errors import AgentUnknown, GroupActive, UsageError
from streams.ids import partition_of
from streams.inspect import groups, seek
from streams.inspect.places import Place
from streams.ports import Committed
from streams.testing import Fleet

from .deployment import PARTITIONS, Seen, after, during, greet, seen

# -- groups


def test_a_group_that_is_at_work_shows_who_owns_what_and_how_far_behind() -> None:
    async def look(client: Client, at: Seen) -> None:
        for name in ("slow", "ann", "bob"):
            await client.submit("greet", name, key="one")
        await asyncio.sleep(60)
        whole, rows = groups.look(at.log, at.topics, "greet", at.clock)
        assert (whole["state"], whole["members"], whole["behind"]) == ("stable", 1, 3)
        assert {row["worker"] for row in rows} == {"slot-0"}
        (busy,) = (row for row in rows if row["behind"])
        assert busy["behind_s"] >= 60
        assert whole["behind_s"] == busy["behind_s"]

    during(look)


def test_tasks_finished_ahead_are_not_behind() -> None:
    async def look(client: Client, at: Seen) -> None:
        # The same partition, other keys: bob overtakes.
        await client.submit("greet", "slow", key="a")
        keys = (key for key in "bcdefghijklmnop" if _same_partition(key, "a"))
        await (await client.submit("greet", "bob", key=next(keys))).record()
        await asyncio.sleep(5)
        whole, rows = groups.look(at.log, at.topics, "greet", at.clock)
        (busy,) = (row for row in rows if row["incomplete"])
        assert (busy["behind"], busy["incomplete"], whole["behind"]) == (1, 1, 1)
        assert busy["incomplete_offsets"] == [busy["offset"]]
        assert busy["end"] == busy["offset"] + 2

    during(look)


def test_a_group_that_was_left_is_released_everywhere() -> None:
    def look(at: Seen) -> None:
        whole, rows = groups.look(at.log, at.topics, "greet", at.clock)
        assert (whole["members"], whole["behind"], whole["problems"]) == (0, 0, 0)
        assert all(row["released"] and row["worker"] is None for row in rows)

    after(["ann"], look)


def test_a_group_that_no_worker_has_joined_is_empty() -> None:
    async def run() -> None:
        fleet = Fleet(greet, workers=0)
        async with fleet as client:
            at = seen(fleet, client)
            whole, _ = groups.look(at.log, at.topics, "greet", at.clock)
            assert (whole["state"], whole["members"]) == ("empty", 0)

    asyncio.run(run())


def test_metadata_that_cannot_be_read_is_named_as_a_problem() -> None:
    def look(at: Seen) -> None:
        at.log.admin().set_committed("pool.greet", "tasks.greet", {0: Committed(0, "junk")})
        _, rows = groups.look(at.log, at.topics, "greet", at.clock)
        assert "cannot be read" in rows[0]["problem"]
        assert rows[1]["problem"] == ""

    after([], look)


def test_an_agent_that_is_not_here_is_unknown() -> None:
    def look(at: Seen) -> None:
        with pytest.raises(AgentUnknown):
            groups.shares(at.log, at.topics, "other")
        assert groups.pools(at.log, at.topics) == ["greet"]

    after([], look)


# -- seek


def test_going_back_runs_tasks_again_and_the_undo_restores_exactly() -> None:
    def look(at: Seen) -> None:
        admin = at.log.admin()
        before = admin.committed("pool.greet", "tasks.greet", range(PARTITIONS))
        moves = at.place(Place("start"))
        assert sum(move.again for move in moves) == 3
        assert sum(move.skipped for move in moves) == 0
        assert admin.committed("pool.greet", "tasks.greet", range(PARTITIONS)) == before
        seek.move(at.log, at.topics, "greet", moves)
        whole, _ = groups.look(at.log, at.topics, "greet", at.clock)
        assert whole["behind"] == 3
        restores = [seek.restore_text(move) for move in moves]
        undo = at.place(seek.parse_restores(restores))
        assert sum(move.skipped for move in undo) == 3
        seek.move(at.log, at.topics, "greet", undo)
        assert admin.committed("pool.greet", "tasks.greet", range(PARTITIONS)) == before

    after(["ann", "bob", "cem"], look)


def test_the_printed_undo_is_safe_in_a_shell() -> None:
    move = seek.Move(3, Committed(7, "1`$(rm)&;'|"), Committed(0, ""), 1, 0)
    words = shlex.split(seek.undo_command("greet", [move]))
    assert words[:4] == ["streams", "group", "seek", "greet"]
    assert words[-1] == "--execute"
    assert seek.parse_restores([words[5]]) == {3: move.old}


def test_jumping_over_tasks_counts_them_as_skipped() -> None:
    def look(at: Seen) -> None:
        seek.move(at.log, at.topics, "greet", at.place(Place("start")))
        moves = at.place(Place("end"))
        assert (sum(m.skipped for m in moves), sum(m.again for m in moves)) == (2, 0)

    after(["ann", "bob"], look)


def test_one_partition_moves_alone() -> None:
    def look(at: Seen) -> None:
        every = at.place(Place("start"))
        one = at.place(Place("start"), every[0].partition)
        assert one == every[:1]
        with pytest.raises(UsageError, match="does not exist"):
            at.place(Place("start"), PARTITIONS)

    after(["ann"], look)


def test_a_group_with_members_is_not_moved() -> None:
    async def look(client: Client, at: Seen) -> None:
        await client.ask(greet, "ann")
        with pytest.raises(GroupActive):
            at.place(Place("start"))
        move = seek.Move(0, Committed(0, ""), Committed(0, ""), 0, 0)
        with pytest.raises(GroupActive):
            seek.move(at.log, at.topics, "greet", [move])

    during(look)


@pytest.mark.parametrize("text", ["", "1", "1:2", "a:1:", "1:b:", "-1:0:"])
def test_a_restore_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seek.parse_restores([text])


def _same_partition(one: str, other: str) -> bool:
    return partition_of(one.encode(), PARTITIONS) == partition_of(other.encode(), PARTITIONS)
