"""A task whose end does not fit the topics fails alone; its pool goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from streams import Context, PermanentError, agent
from streams.avro import encode
from streams.catalog import Catalog
from streams.errors import LogError
from streams.inspect.dead import Letters
from streams.ports import Headers
from streams.records import Task
from streams.testing.memory import Call
from streams.testing.memory.storage import StoredRecord
from streams.topics import DAY_MS
from streams.verify import Report, check

from .simulation import Simulation, simulate, until

PLACE = 2
"""The partition that the tests write to by hand."""


@agent
async def payer(ctx: Context, text: str) -> str:
    ctx.charge("token", amount_micros=5)
    if text.startswith("bad"):
        raise PermanentError("no")
    return text


def foreign(fleet: Simulation, *, text: str = "x", **other: str) -> Task:
    """A task as another program may write it."""
    now = fleet.clock.now_micros()
    values = {"task_id": "t", "run_id": "r"} | other
    return Task(agent="payer", submitted_at=now, deadline=now + DAY_MS * 1000,
                input=f'"{text}"'.encode(), **values)  # fmt: skip


@pytest.mark.parametrize("field", ["tenant", "task_id", "run_id", "parent_task_id", "redrive_of"])
def test_a_foreign_task_with_a_huge_text_is_a_dead_letter(field: str) -> None:
    fleet = Simulation(payer)

    async def scenario() -> None:
        async with fleet as client:
            task = foreign(fleet, **{field: "t" * 600_000})
            fleet.write(payer, PLACE, b"k", encode(task))
            fleet.write(payer, PLACE, b"k" * 600_000, encode(foreign(fleet)))
            await until(lambda: len(fleet.dead(payer)) == 2)
            assert await client.ask(payer, "y") == "y"
            assert {letter.reason for letter in fleet.dead(payer)} == {"undecodable"}
            assert fleet.hosts[0].pools[0].failure is None
            assert sound(fleet).undecodable == 2

    simulate(scenario)


def enlarge(fleet: Simulation, topic: str) -> None:
    """An operator raises a topic's limit, and no other."""
    known = fleet.log._broker.storage.topics[topic]
    known.spec = replace(known.spec, config=known.spec.config | {"max.message.bytes": "4194304"})


def sound(fleet: Simulation) -> Report:
    """I1 to I5 hold on the topics, with what was written by hand."""
    report = check(fleet.log, fleet.topics, pools=["payer"])
    assert report.ok, report.text()
    return report


@pytest.mark.parametrize("value", ["a task that fails", "no task"])
def test_a_dead_letter_that_would_not_fit_leaves_the_original_where_it_is(value: str) -> None:
    fleet = Simulation(payer)

    async def scenario() -> None:
        async with fleet as client:
            enlarge(fleet, "tasks.payer")
            big = foreign(fleet, text="bad" + "x" * 3_000_000)
            written = encode(big) if value != "no task" else b"?" * 3_000_000
            fleet.write(payer, PLACE, b"k", written)
            await until(lambda: len(fleet.dead(payer)) == 1)
            (letter,) = fleet.dead(payer)
            assert (letter.value, letter.headers) == (None, [])
            assert letter.value_hash is not None
            assert (letter.source_partition, letter.source_offset) == (PLACE, 0)
            assert await client.ask(payer, "y") == "y"
            sound(fleet)
            catalog = Catalog(fleet.log, fleet.topics, fleet.clock, fleet.crew.runner())
            letters = Letters(fleet.log, fleet.topics, catalog, fleet.clock, "payer")
            assert letters.find(f"{PLACE}@0").task == (big if value != "no task" else None)

    simulate(scenario)


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_refused_again_is_written_with_less(times: int) -> None:
    """The limits on the card may be old: what does not fit after all must not stop the pool."""
    fleet = Simulation(payer)
    refused: list[str] = []

    def refuse(call: Call) -> None:
        if call.method == "deliver" and not call.applied and call.client.startswith("pool."):
            topic, _, _, value, _ = call.args
            small = {1: "dead.payer", 2: "costs"}[times]
            if topic == small and len(value) > {1: 1_000, 2: 10}[times]:
                refused.append(topic)
                raise LogError("MSG_SIZE_TOO_LARGE", abortable=True)

    async def scenario() -> None:
        async with fleet as client:
            fleet.log.faults.append(refuse)
            text = "bad" + "x" * 2_000
            record = await (await client.submit(payer, text, tenant="acme")).record(60)
            assert (record.status, record.reason) == ("failed", "record_refused")
            assert record.cost_micros == 0
            assert len(refused) == 2
            assert fleet.hosts[0].pools[0].failure is None
            fleet.log.faults.clear()
            assert await client.ask(payer, "good") == "good"
            sound(fleet)

    simulate(scenario)


def test_an_undecodable_record_whose_letter_is_refused_is_written_with_less() -> None:
    fleet = Simulation(payer)

    def refuse(call: Call) -> None:
        delivers = call.method == "deliver" and not call.applied
        if delivers and call.args[0] == "dead.payer" and len(call.args[3]) > 1_000:
            raise LogError("MSG_SIZE_TOO_LARGE", abortable=True)

    async def scenario() -> None:
        async with fleet as client:
            fleet.log.faults.append(refuse)
            fleet.write(payer, PLACE, b"k", b"?" * 2_000)
            await until(lambda: len(fleet.dead(payer)) == 1)
            assert await client.ask(payer, "good") == "good"
            sound(fleet)

    simulate(scenario)


def test_headers_that_cannot_be_read_are_left_out_of_the_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the Kafka client has it for a name that is not UTF-8: asked twice, the process ends."""
    asked: Counter[int] = Counter()

    def headers(record: StoredRecord) -> Headers | None:
        asked[record.offset()] += 1
        raise SystemError

    def refuse(call: Call) -> None:
        delivers = call.method == "deliver" and not call.applied
        if delivers and call.args[0] == "dead.payer" and len(call.args[3]) > 1_000:
            raise LogError("MSG_SIZE_TOO_LARGE", abortable=True)

    monkeypatch.setenv("STREAMS_TRACE", "1")
    monkeypatch.setattr(StoredRecord, "headers", headers)
    fleet = Simulation(payer)

    async def scenario() -> None:
        async with fleet:
            fleet.log.faults.append(refuse)
            fleet.write(payer, PLACE, b"k", b"?" * 2_000)
            fleet.write(payer, PLACE, b"k", encode(foreign(fleet, text="bad" + "x" * 2_000)))
            fleet.write(payer, PLACE, b"k", encode(foreign(fleet, text="bad", task_id="u")))
            fleet.write(payer, PLACE, b"k", encode(foreign(fleet, task_id="v")))
            await until(lambda: len(fleet.dead(payer)) == 3 and len(fleet.results(payer)) == 3)
            assert [letter.headers for letter in fleet.dead(payer)] == [[], [], []]
            assert [r.status for r in fleet.results(payer)] == ["failed", "failed", "succeeded"]
            await until(lambda: not fleet.hosts[0].pools[0].shared.ledger.held)
            assert set(asked.values()) == {1}
            sound(fleet)

    simulate(scenario)
