"""Clients against the runtime: ids of their own, batches, look-ups, redriving."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from streams import Address, Context, Retry, agent
from streams.client import Client, handles
from streams.errors import (
    AgentUnknown,
    InputInvalid,
    LogError,
    StreamsError,
    TaskDuplicate,
    TaskFailed,
    UsageError,
    WaitTimeout,
)
from streams.ids import partition_of
from streams.ids import task_id as new_task_id
from streams.testing.memory import Call
from streams.testing.runner import LoopRunner

from .simulation import Fails, Simulation, simulate

ran: Counter[str] = Counter()


@agent(retry=Retry(attempts=1))
async def echo(ctx: Context, text: str) -> str:
    ran[text] += 1
    await asyncio.sleep(0.3)
    if text == "bad":
        raise ValueError(text)
    return text


def another(fleet: Simulation) -> Client:
    return Client.over(fleet.log, fleet.clock, LoopRunner(fleet._time), fleet.topics)


def test_a_task_id_of_the_callers_own_is_submitted_once() -> None:
    ran.clear()
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client, another(fleet) as other:
            first = await client.submit(echo, "once", task_id="order-1")
            again = await client.submit(echo, "once", task_id="order-1")
            elsewhere = await other.submit(echo, "once", task_id="order-1")
            assert await first.result(20) == "once"
            assert await again.result(20) == await elsewhere.result(20) == "once"
            later = await other.submit(echo, "once", task_id="order-1")
            assert await later.result(20) == "once"
            with pytest.raises(TaskDuplicate):
                await client.submit(echo, "other", task_id="order-1")
            assert ran == {"once": 1}
            assert len(fleet.tasks(echo)) == 1
            fleet.verify()

    simulate(scenario)


def test_two_clients_submit_the_same_id_at_the_same_time() -> None:
    ran.clear()
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client, another(fleet) as other:
            await client.ask(echo, "warm")
            submitted = await asyncio.gather(
                *(c.submit(echo, "both", task_id="t") for c in (client, other, client, other))
            )
            assert [await h.result(20) for h in submitted] == ["both"] * 4
            assert ran["both"] == 1
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("applied", [False, True])
def test_a_lost_reply_to_an_own_id_is_looked_up(applied: bool) -> None:
    ran.clear()
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            fleet.log.faults.append(
                Fails(
                    "commit",
                    LogError("_TIMED_OUT"),
                    applied=applied,
                    client="pool.echo.submit.",
                )
            )
            handle = await client.submit(echo, "sure", task_id="t")
            assert await handle.result(20) == "sure"
            assert len(fleet.tasks(echo)) == 1
            fleet.verify()

    simulate(scenario)


def test_a_batch_keeps_few_tasks_open_and_gives_every_result(monkeypatch) -> None:
    bound = 50
    monkeypatch.setattr(handles, "OPEN_MAX", bound)
    fleet = Simulation(echo)
    taken: list[int] = []

    def inputs():
        for number in range(300):
            taken.append(number)
            yield str(number)

    async def scenario() -> None:
        async with fleet as client:
            batch = await client.submit_many(echo, inputs(), key=lambda text: text[-1])
            seen: list[str | None] = []
            async for result in batch:
                seen.append(result.output)
                assert len(taken) - len(seen) <= bound + 1
            assert sorted(seen, key=str) == sorted(map(str, range(300)))
            assert {task.run_id for task in fleet.tasks(echo)} == {batch.run_id}
            fleet.verify()

    simulate(scenario)


def test_an_input_of_a_batch_that_does_not_fit_is_raised() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            batch = await client.submit_many(echo, ["a", 3, "c"])  # type: ignore[list-item]
            with pytest.raises(InputInvalid):
                async for _ in batch:
                    pass

    simulate(scenario)


def test_an_empty_batch_ends() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            batch = await client.submit_many(echo, [])
            assert [result async for result in batch] == []

    simulate(scenario)


@pytest.mark.parametrize("known", ["key", "nothing"])
def test_a_handle_finds_a_result_that_is_there_already(known: str) -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            task = await client.submit(echo, "kept", key="k")
            await task.result(20)
            await asyncio.sleep(5)
            async with another(fleet) as later:
                handle = await later.handle(echo, task.task_id, key="k" if known == "key" else None)
                assert await handle.result(20) == "kept"
                own = await client.handle(echo, task.task_id)
                assert await own.result(20) == "kept"
                missing = await later.handle(echo, "unheard-of")
                with pytest.raises(WaitTimeout) as error:
                    await missing.result(3)
                assert "`streams task get echo unheard-of`" in error.value.hint

    simulate(scenario)


def test_an_ended_task_is_submitted_again_as_a_new_one() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            handle = await client.submit(echo, "bad", key="k", tenant="acme")
            with pytest.raises(TaskFailed):
                await handle.result(20)
            (task,) = fleet.tasks(echo)
            again = await client.resubmit(task)
            record = await again.record(20)
            assert again.task_id != task.task_id
            assert (record.redrive_of, record.tenant) == (task.task_id, "acme")
            assert [t.key for t in fleet.tasks(echo)] == ["k", "k"]
            fleet.verify()

    simulate(scenario)


def test_what_is_wrong_with_a_submission_is_said_before_it_is_written() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            with pytest.raises(InputInvalid):
                await client.submit(echo, 5)  # type: ignore[arg-type]
            with pytest.raises(InputInvalid):
                await client.submit("echo", 5)
            with pytest.raises(AgentUnknown) as unknown:
                await client.submit("ecko", "x")
            assert "did you mean 'echo'" in unknown.value.hint
            with pytest.raises(AgentUnknown):
                await client.submit(Address("nobody", str, str), "x")
            for key in ("", "k" * 1_025):
                with pytest.raises(UsageError):
                    await client.submit(echo, "x", key=key)
            assert fleet.tasks(echo) == []
            assert await client.ask(Address("echo", str, str), "by address") == "by address"
            assert await (await client.submit("echo", "by name")).result(20) == "by name"

    simulate(scenario)


def test_a_task_that_is_not_accepted_is_reported() -> None:
    fleet = Simulation(echo)
    refused = LogError("TOPIC_AUTHORIZATION_FAILED")

    def of(call: Call) -> bool:
        return call.args[0] == "tasks.echo"

    async def scenario() -> None:
        async with fleet as client:
            fleet.log.faults.append(Fails("deliver", refused, client="producer", when=of))
            with pytest.raises(StreamsError, match="TOPIC_AUTHORIZATION_FAILED"):
                await client.submit(echo, "x")
            assert await client.ask(echo, "y") == "y"

    simulate(scenario)


def test_following_one_more_agent_does_not_read_all_results_again() -> None:
    @agent
    async def second(ctx: Context, text: str) -> str:
        return text

    fleet = Simulation(echo, second)

    async def scenario() -> None:
        async with fleet as client:
            reader = client._follower._reader
            delivered = 0
            consume = reader.consume

            def counted(records_max: int, timeout_s: float):
                nonlocal delivered
                consumed = consume(records_max, timeout_s)
                delivered += len(consumed.records)
                return consumed

            reader.consume = counted
            tasks = [await client.submit(echo, str(n)) for n in range(100)]
            for task in tasks:
                await task.result(20)
            assert await client.ask(second, "x") == "x"
            assert delivered == 101
            assert await client.ask(echo, "after") == "after"

    simulate(scenario)


def test_a_result_can_be_looked_up_again_and_again() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            task_id = (await client.submit(echo, "kept", key="k", task_id="own")).task_id
            await client.ask(echo, "other", key="k")
            for _ in range(3):
                found = await client.handle(echo, task_id)
                assert await found.result(20) == "kept"
                assert found.run_id == task_id
                assert await (await client.handle(echo, task_id, key="k")).result(20) == "kept"
                same = await client.submit(echo, "kept", key="k", task_id="own")
                assert await same.result(20) == "kept"

    simulate(scenario)


def test_a_result_is_found_though_the_submitters_clock_was_ahead() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            ahead = new_task_id(fleet.clock.now_micros() + 30_000_000)
            await (await client.submit(echo, "kept", task_id=ahead)).result(20)
            async with another(fleet) as later:
                assert await (await later.handle(echo, ahead)).result(20) == "kept"

    simulate(scenario)


def test_an_own_id_is_found_behind_an_open_transaction() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(echo, "warm")
            partition = partition_of(b"t", 12)
            stranger = fleet.log.transactional_producer("stranger", group="other")
            stranger.init(5.0)
            stranger.begin()
            stranger.produce(fleet.topics.tasks("echo"), partition, b"k", b"never committed")
            await client.submit(echo, "once", task_id="t")
            # The first one is committed, but hidden until the transaction before it has ended.
            await client.submit(echo, "once", task_id="t")
            with pytest.raises(TaskDuplicate):
                await client.submit(echo, "other", task_id="t")
            assert [task.task_id for task in fleet.tasks(echo)].count("t") == 1

    simulate(scenario)


def test_submitting_waits_while_the_producers_buffer_is_full() -> None:
    fleet = Simulation(echo)

    async def scenario() -> None:
        async with fleet as client:
            full = Fails(
                "produce",
                LogError("_QUEUE_FULL"),
                times=3,
                client="producer",
                when=lambda call: (
                    call.args[0] == "tasks.echo" and client._deliverer._unconfirmed > 0
                ),
            )
            fleet.log.faults.append(full)
            batch = await client.submit_many(echo, ["a", "b", "c", "d"])
            outputs = [result.output async for result in batch]
            assert full.hits
            assert sorted(str(output) for output in outputs) == ["a", "b", "c", "d"]

    simulate(scenario)


def test_results_are_followed_on_though_their_schemas_cannot_be_read_for_a_while() -> None:
    fleet = Simulation(echo)
    outage = Fails(
        "topics",
        LogError("_TRANSPORT"),
        times=3,
        client="admin",
        when=lambda call: "schemas" in call.args[0],
    )

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(echo, "warm")
            fleet.log.faults.append(outage)
            producer = fleet.log.producer()
            producer.produce("results.echo", 0, b"k", b"\xc3\x01" + b"\7" * 40)
            producer.close()
            await asyncio.sleep(5)
            assert outage.hits == 3
            assert await client.ask(echo, "goes on") == "goes on"

    simulate(scenario)
