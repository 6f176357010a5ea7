"""What look-ups say about a deployment: the real runtime on a log in memory."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from streams import Context, PermanentError, agent
from streams.catalog import Catalog
from streams.client import Client
from streams.errors import AgentUnknown, GroupActive, NotFound, TaskUnknown, UsageError
from streams.ids import partition_of
from streams.ids import task_id as new_task_id
from streams.inspect import groups, seek, tail
from streams.inspect.costs import costs_since, report
from streams.inspect.dead import Letters, redrive_plan
from streams.inspect.places import Place
from streams.inspect.show import Decoder, raw
from streams.inspect.tasks import Tasks
from streams.inspect.topics import topic_row, topic_rows
from streams.inspect.workers import seen_workers
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
            await look(client, _seen(fleet, client))

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
            look(_seen(fleet, client))

    asyncio.run(run())


def _seen(fleet: Fleet, client: Client) -> Seen:
    return Seen(fleet.log, fleet.topics, client.catalog, fleet.clock)


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
            at = _seen(fleet, client)
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


# -- tasks, dead letters, costs


def test_tasks_are_listed_with_their_ends_and_open_ones() -> None:
    async def look(client: Client, at: Seen) -> None:
        await (await client.submit("greet", "ann", key="k", tenant="t")).record()
        await (await client.submit("greet", "nobody")).record()
        slow = await client.submit("greet", "slow")
        rows = at.tasks().rows(0)
        assert [row["status"] for row in rows] == ["succeeded", "failed", "open"]
        assert (rows[0]["key"], rows[0]["tenant"], rows[0]["cost_micros"]) == ("k", "t", 150)
        assert [r["task_id"] for r in at.tasks().rows(0, "open")] == [slow.task_id]
        assert at.tasks().rows(at.clock.now_micros() // 1000 + 1) == []

    during(look)


def test_a_task_is_found_by_its_id_with_and_without_its_key() -> None:
    async def look(client: Client, at: Seen) -> None:
        done = await client.submit("greet", "ann", key="k")
        await done.record()
        slow = await client.submit("greet", "slow")
        found = at.tasks().get(done.task_id)
        assert (found["status"], found["output"], found["input"], found["key"]) == (
            "succeeded",
            "hello ann",
            "ann",
            "k",
        )
        keyed = at.tasks()
        assert keyed.get(done.task_id, "k") == found
        assert keyed.read.partitions == 1
        assert at.tasks().get(slow.task_id)["status"] == "open"
        with pytest.raises(TaskUnknown):
            at.tasks().get(new_task_id(at.clock.now_micros()))

    during(look)


def test_a_look_up_says_what_it_read() -> None:
    def look(at: Seen) -> None:
        tasks = at.tasks()
        tasks.rows(0)
        said = str(tasks.read)
        assert "read 2 records of tasks.greet and results.greet" in said
        assert "from the beginning" in said

    after(["ann"], look)


def test_a_dead_letter_shows_its_report_and_its_original() -> None:
    def look(at: Seen) -> None:
        (letter,) = at.letters().since(0)
        assert at.letters().find(letter.id) == letter
        assert at.letters().find(letter.letter.task_id or "") == letter
        details = at.letters().details(letter)
        assert details["error"]["type"] == "PermanentError"
        assert "nobody is there" in details["error"]["frames"][-1]
        assert (details["original_kind"], details["original"]["input"]) == ("Task", "nobody")
        for id in ("0@999", "9@0", "nope"):
            with pytest.raises(NotFound) as error:
                at.letters().find(id)
            assert error.value.hint == "streams dead list --agent greet"

    after(["ann", "nobody"], look)


def test_what_was_redriven_is_known_and_not_redriven_by_all_again() -> None:
    async def look(client: Client, at: Seen) -> None:
        await (await client.submit("greet", "nobody")).record()
        (letter,) = at.letters().since(0)
        ((_, row),) = redrive_plan([letter], at.tasks().redriven(0))
        assert row["action"] == "submit"
        assert letter.task is not None
        again = await client.resubmit(letter.task)
        redriven = at.tasks().redriven(0)
        assert redriven == {letter.task.task_id: [again.task_id]}
        ((_, row),) = redrive_plan([letter], redriven)
        assert (row["action"], row["why"]) == ("skip", f"was redriven as {again.task_id}")
        ((_, row),) = redrive_plan([letter], redriven, named=True)
        said = f"again: already redriven as {again.task_id}"
        assert (row["action"], row["why"]) == ("submit", said)

    during(look)


def test_a_letter_without_a_task_and_one_named_twice_are_skipped() -> None:
    async def look(client: Client, at: Seen) -> None:
        producer = at.log.producer()
        producer.produce("tasks.greet", 0, b"k", b"junk")
        producer.flush(1.0)
        await (await client.submit("greet", "nobody")).record()
        await asyncio.sleep(5)
        letters = at.letters().since(0)
        todo = redrive_plan([*letters, *letters], {})
        whys = sorted(row["why"] for _, row in todo if row["action"] == "skip")
        assert whys == ["the original is no task"] * 2 + ["the same task is redriven already"]

    during(look)


def test_costs_are_those_of_the_log() -> None:
    def look(at: Seen) -> None:
        costs = list(costs_since(at.log, at.topics, at.catalog, at.clock, 0))
        (row,) = report(costs, ["agent", "resource"])
        assert (row["agent"], row["resource"], row["charges"]) == ("greet", "greeting", 2)
        assert row["amount"] == "0.000300"

    after(["ann", "bob"], look)


# -- topics, records, workers


def test_the_newest_records_are_found_behind_markers_in_the_order_of_time() -> None:
    def look(at: Seen) -> None:
        asked = tail.Asked("results.greet", tuple(range(PARTITIONS)), 2)
        rows = list(tail.records(at.log, at.catalog, at.clock, asked))
        assert [row["value"]["output"] for row in rows] == ["hello cem", "hello dan"]
        assert {row["kind"] for row in rows} == {"Result"}

    after(["ann", "bob", "cem", "dan"], look)


def test_a_tail_from_a_place_is_bounded_by_its_count() -> None:
    def look(at: Seen) -> None:
        every = tuple(range(PARTITIONS))
        asked = tail.Asked("tasks.greet", every, None, Place("start"))
        assert len(list(tail.records(at.log, at.catalog, at.clock, asked))) == 3
        asked = tail.Asked("tasks.greet", every, 1, Place("start"))
        assert len(list(tail.records(at.log, at.catalog, at.clock, asked))) == 1

    after(["ann", "bob", "cem"], look)


def test_records_that_are_not_ours_are_shown_as_they_are() -> None:
    def look(at: Seen) -> None:
        decoder = Decoder(at.catalog)
        assert decoder.value(None) == ("null", None)
        assert decoder.value(json.dumps({"a": 1}).encode()) == ("json", {"a": 1})
        assert decoder.value(b"text") == ("bytes", "text")
        assert decoder.value(b"\xc3\x01" + b"\xff" * 8) == ("bytes", raw(b"\xc3\x01" + b"\xff" * 8))
        assert raw(b"\xff") == "base64:/w=="

    after([], look)


def test_topics_of_other_deployments_are_not_listed() -> None:
    def look(at: Seen) -> None:
        names = [row["topic"] for row in topic_rows(at.log, at.topics)]
        assert "tasks.greet" in names
        assert "heartbeats" in names
        assert topic_rows(at.log, Topics("other")) == []
        row = topic_row(at.log, at.topics, "tasks.greet")
        assert (row["agent"], row["partitions"]) == ("greet", PARTITIONS)
        assert row["offsets"] == sum(b["end"] - b["start"] for b in row["bounds"])

    after(["ann"], look)


def test_a_worker_is_seen_alive_and_then_stopped() -> None:
    async def look(client: Client, at: Seen) -> None:
        await client.ask(greet, "ann")
        (worker,) = seen_workers(at.log, at.topics, at.catalog, at.clock)
        assert (worker.beat.slot, worker.alive) == ("slot-0", True)

    during(look)

    def then(at: Seen) -> None:
        (worker,) = seen_workers(at.log, at.topics, at.catalog, at.clock)
        assert worker.state == "stopped"

    after([], then)


def _same_partition(one: str, other: str) -> bool:
    return partition_of(one.encode(), PARTITIONS) == partition_of(other.encode(), PARTITIONS)
