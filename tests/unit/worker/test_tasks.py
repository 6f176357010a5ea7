"""What becomes of a task: every way in which it can end, as it stands in the topics."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from streams import Context, PermanentError, Retry, RetryAfter, agent
from streams.avro import encode
from streams.errors import InputTooLarge, LogError, TaskExpired, TaskFailed, UsageError
from streams.records import Task

from .simulation import Fails, Simulation, simulate, until


def test_a_failing_task_is_tried_again_with_growing_delays() -> None:
    seen: list[tuple[int, float]] = []

    @agent(retry=Retry(attempts=4, delay=2))
    async def flaky(ctx: Context, text: str) -> str:
        seen.append((ctx.attempt, fleet.clock.monotonic()))
        assert ctx.idempotency_key == ctx.task.task_id
        if ctx.attempt < 4:
            raise ValueError("not yet")
        return text.upper()

    fleet = Simulation(flaky, seed=3)

    async def scenario() -> None:
        async with fleet as client:
            assert await client.ask(flaky, "a") == "A"
            assert [attempt for attempt, _ in seen] == [1, 2, 3, 4]
            waits = [b - a for (_, a), (_, b) in itertools.pairwise(seen)]
            assert all(0 <= wait <= 2 * 2**n for n, wait in enumerate(waits))
            assert max(waits) > 0.5
            (result,) = fleet.results(flaky)
            assert (result.status, result.attempt, result.output) == ("succeeded", 4, b'"A"')
            # The start is the last attempt's, the submission comes before all of them.
            assert result.started_at == result.finished_at
            assert result.finished_at - result.submitted_at >= sum(waits) * 1e6
            assert fleet.dead(flaky) == []
            fleet.verify()

    simulate(scenario)


def test_exhausted_attempts_make_one_failed_result_and_one_dead_letter() -> None:
    @agent(retry=Retry(attempts=2, delay=1))
    async def broken(ctx: Context, text: str) -> str:
        ctx.charge("tool", amount_micros=7)
        raise ValueError(f"no {text}")

    fleet = Simulation(broken)

    async def scenario() -> None:
        async with fleet as client:
            handle = await client.submit(broken, "way", key="k", tenant="t")
            with pytest.raises(TaskFailed, match="no way"):
                await handle.result()
            (result,) = fleet.results(broken)
            assert (result.status, result.reason, result.attempt) == (
                "failed",
                "attempts_exhausted",
                2,
            )
            assert result.error is not None
            assert (result.error.type, result.error.message) == ("ValueError", "no way")
            assert "in broken" in result.error.frames[-1]
            assert __file__ in result.error.frames[-1]
            assert result.cost_micros == 14
            (letter,) = fleet.dead(broken)
            (record,) = fleet.read("tasks.broken")
            assert (letter.key, letter.value) == (record.key(), record.value())
            assert (letter.source_partition, letter.source_offset) == (record.partition(), 0)
            assert (letter.attempts, letter.reason) == (2, "attempts_exhausted")
            assert [(c.attempt, c.amount_micros, c.tenant) for c in fleet.costs()] == [
                (1, 7, "t"),
                (2, 7, "t"),
            ]
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize(
    ("failure", "reason", "starts"),
    [
        (PermanentError("never"), "permanent_error", 1),
        (RetryAfter(61), "retry_delay_too_long", 1),
        (UsageError("mine"), "permanent_error", 1),
        (SystemExit(3), "attempts_exhausted", 2),
        (asyncio.CancelledError(), "attempts_exhausted", 2),
        (BaseException("odd"), "attempts_exhausted", 2),
        (ValueError("\udcff in a file name"), "attempts_exhausted", 2),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_a_handler_raises_decides(failure: BaseException, reason: str, starts: int) -> None:
    count = 0

    @agent(retry=Retry(attempts=2, delay=1))
    async def raising(ctx: Context, text: str) -> str:
        nonlocal count
        if text == "good":
            return "fine"
        count += 1
        raise failure

    fleet = Simulation(raising)

    async def scenario() -> None:
        async with fleet as client:
            handle = await client.submit(raising, "bad", key="k")
            record = await handle.record(100)
            assert (record.status, record.reason, count) == ("failed", reason, starts)
            assert await client.ask(raising, "good", key="k") == "fine"
            assert len(fleet.dead(raising)) == 1
            fleet.verify()

    simulate(scenario)


def test_retry_after_waits_as_long_as_it_says() -> None:
    starts: list[float] = []

    @agent(retry=Retry(attempts=3, delay=0))
    async def limited(ctx: Context, text: str) -> str:
        starts.append(fleet.clock.monotonic())
        if ctx.attempt < 3:
            raise RetryAfter(25)
        return text

    fleet = Simulation(limited)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(limited, "x")
            assert [b - a for a, b in itertools.pairwise(starts)] == pytest.approx(
                [25, 25], abs=0.01
            )

    simulate(scenario)


def test_an_attempt_that_takes_too_long_is_cut_off_and_tried_again() -> None:
    ended: list[int] = []

    @agent(timeout=3, retry=Retry(attempts=2, delay=0))
    async def slow(ctx: Context, text: str) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(ctx.attempt)
        return text

    fleet = Simulation(slow)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(slow, "x")).record(20)
            assert (record.status, record.reason) == ("failed", "attempts_exhausted")
            assert record.error is not None
            assert "longer than 3 s" in record.error.message
            assert ended == [1, 2]
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("phase", ["running", "queued", "retrying"])
def test_a_task_expires_at_its_deadline_and_leaves_no_dead_letter(phase: str) -> None:
    @agent(concurrency=1, retry=Retry(attempts=2, delay=50))
    async def late(ctx: Context, text: str) -> str:
        if text == "retrying":
            raise RetryAfter(55)
        await asyncio.sleep(30)
        return text

    fleet = Simulation(late)

    async def scenario() -> None:
        async with fleet as client:
            if phase == "queued":
                await client.submit(late, "before")
                await asyncio.sleep(1)
            deadline = datetime.fromtimestamp(fleet.clock.now_micros() / 1e6, UTC)
            handle = await client.submit(late, phase, deadline=deadline + timedelta(seconds=5))
            with pytest.raises(TaskExpired):
                await handle.result(200)
            record = await handle.record()
            after = (record.finished_at - fleet.tasks(late)[-1].submitted_at) / 1e6
            if phase != "queued":
                assert 5 <= after < 6, "not at its deadline"
            assert (record.status, record.reason) == ("expired", "deadline")
            await until(lambda: not fleet.hosts[0].pools[0].shared.ledger.held)
            assert fleet.dead(late) == []
            fleet.verify()

    simulate(scenario)


def task_bytes(fleet: Simulation, name: str, input: bytes, **changes: object) -> bytes:
    now = fleet.clock.now_micros()
    task = Task(f"hand-{input!r}", "run", name, now, now + 60_000_000, input)
    for field, value in changes.items():
        setattr(task, field, value)
    return encode(task)


def test_records_that_nobody_checked_end_and_hold_nothing_up() -> None:
    @agent
    async def strict(ctx: Context, number: int) -> int:
        return number + 1

    fleet = Simulation(strict)

    async def scenario() -> None:
        async with fleet as client:
            fleet.write(strict, 1, b"k", b"")
            fleet.write(strict, 1, b"k", b"no record at all")
            fleet.write(strict, 1, b"k", b"\xc3\x01" + b"\0" * 40)
            fleet.write(strict, 1, b"k", task_bytes(fleet, "strict", b'"text"'))
            fleet.write(strict, 1, b"k", task_bytes(fleet, "strict", b"41"))
            await until(lambda: len(fleet.results(strict)) == 2)
            invalid, good = fleet.results(strict)
            assert (invalid.status, invalid.reason) == ("failed", "permanent_error")
            assert invalid.error is not None
            assert invalid.error.code == "E0110"
            assert (good.status, good.output) == ("succeeded", b"42")
            letters = fleet.dead(strict)
            assert [letter.reason for letter in letters] == [
                "undecodable",
                "undecodable",
                "undecodable",
                "permanent_error",
            ]
            assert [letter.value for letter in letters][1] == b"no record at all"
            assert [(h.name, h.value) for h in letters[1].headers] == [("by", b"hand")]
            assert letters[1].key == b"k"
            assert await client.ask(strict, 1) == 2

    simulate(scenario)


def test_output_of_the_wrong_type_is_permanent() -> None:
    @agent
    async def liar(ctx: Context, text: str) -> int:
        return text  # type: ignore[return-value]

    fleet = Simulation(liar)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(liar, "x")).record(60)
            assert (record.status, record.reason, record.attempt) == (
                "failed",
                "permanent_error",
                1,
            )
            assert record.error is not None
            assert record.error.code == "E0113"
            fleet.verify()

    simulate(scenario)


def test_oversized_input_is_refused_and_an_oversized_result_fails() -> None:
    @agent
    async def repeat(ctx: Context, count: int) -> str:
        ctx.charge("chars", amount_micros=count)
        return "x" * count

    @agent
    async def swallow(ctx: Context, text: str) -> int:
        return len(text)

    fleet = Simulation(repeat, swallow)

    async def scenario() -> None:
        async with fleet as client:
            with pytest.raises(InputTooLarge):
                await client.submit(swallow, "x" * 1_100_000)
            assert await client.ask(swallow, "x" * 1_000_000) == 1_000_000
            record = await (await client.submit(repeat, 1_100_000)).record(60)
            assert (record.status, record.reason) == ("failed", "result_too_large")
            assert record.cost_micros == 1_100_000
            assert len(await client.ask(repeat, 1_000_000)) == 1_000_000
            assert [letter.reason for letter in fleet.dead(repeat)] == ["result_too_large"]
            fleet.verify()

    simulate(scenario)


def test_the_context_is_found_from_inside_and_the_input_is_what_was_sent() -> None:
    @agent
    async def inner(ctx: Context, value: dict[str, list[int]]) -> str:
        async def framework() -> str:
            return Context.current().task.task_id

        assert Context.current() is ctx
        assert await asyncio.create_task(framework()) == ctx.task.task_id
        return json.dumps(value)

    fleet = Simulation(inner)

    async def scenario() -> None:
        async with fleet as client:
            assert await client.ask(inner, {"a": [1]}) == '{"a": [1]}'

    simulate(scenario)


def test_a_worker_outlasts_an_outage_while_it_reads_other_writers_schemas() -> None:
    @agent
    async def strict(ctx: Context, number: int) -> int:
        return number + 1

    fleet = Simulation(strict)
    outage = Fails(
        "topics",
        LogError("_TRANSPORT"),
        times=3,
        client="admin",
        when=lambda call: "schemas" in call.args[0],
    )

    async def scenario() -> None:
        async with fleet as client:
            assert await client.ask(strict, 1) == 2
            fleet.log.faults.append(outage)
            fleet.write(strict, 1, b"k", b"\xc3\x01" + b"\5" * 40)
            fleet.write(strict, 1, b"k", task_bytes(fleet, "strict", b"41"))
            await until(lambda: len(fleet.results(strict)) == 2)
            assert outage.hits == 3
            assert [letter.reason for letter in fleet.dead(strict)] == ["undecodable"]
            assert fleet.hosts[0].pools[0].failure is None

    simulate(scenario)
