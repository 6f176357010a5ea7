"""What look-ups say about a deployment: the real runtime on a log in memory."""

from __future__ import annotations

import asyncio
import json

import pytest

from streams.client import Client
from streams.errors import NotFound, TaskUnknown
from streams.ids import task_id as new_task_id
from streams.inspect import tail
from streams.inspect.costs import costs_since, report
from streams.inspect.dead import redrive_plan
from streams.inspect.places import Place
from streams.inspect.show import Decoder, raw
from streams.inspect.topics import topic_row, topic_rows
from streams.inspect.workers import seen_workers
from streams.topics import Topics

from .deployment import PARTITIONS, Seen, after, during, greet

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
