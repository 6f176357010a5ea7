"""Every error of a transaction, at every phase: each task is still answered exactly once."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, Retry, agent
from streams.errors import LogError, PoolStopped, SlotInUse
from streams.testing.memory import Call

from .simulation import Fails, Simulation, simulate, until

TASKS = 40


@agent(retry=Retry(attempts=1))
async def work(ctx: Context, number: int) -> int:
    ctx.charge("unit", amount_micros=number)
    await asyncio.sleep(0.05)
    return number * 2


def fatal(kind: str) -> LogError:
    return LogError(kind, fatal=True)


def abortable(kind: str) -> LogError:
    return LogError(kind, abortable=True)


@pytest.mark.parametrize(
    "fault",
    [
        Fails("commit", LogError("_TIMED_OUT"), applied=True),
        Fails("commit", LogError("_TIMED_OUT"), applied=False),
        Fails("commit", LogError("REQUEST_TIMED_OUT", retriable=True), applied=True, times=3),
        Fails("commit", fatal("INVALID_TXN_STATE"), applied=True),
        Fails("commit", abortable("ILLEGAL_GENERATION")),
        Fails("commit", abortable("_INCONSISTENT")),
        Fails("commit", abortable("SOMETHING_NEW"), times=4),
        Fails("commit", fatal("_FENCED")),
        Fails("commit", fatal("_FENCED"), times=2),
        Fails("begin", LogError("_STATE")),
        Fails("begin", fatal("INVALID_PRODUCER_EPOCH")),
        Fails("produce", abortable("_QUEUE_FULL"), times=2),
        Fails("produce", fatal("UNKNOWN_PRODUCER_ID")),
        Fails("send_offsets", abortable("ILLEGAL_GENERATION"), times=3),
        Fails("send_offsets", abortable("UNKNOWN_MEMBER_ID")),
        Fails("send_offsets", abortable("REBALANCE_IN_PROGRESS"), times=2),
        Fails("send_offsets", LogError("_TIMED_OUT"), applied=True),
        Fails("send_offsets", abortable("_MSG_TIMED_OUT")),
        Fails("deliver", abortable("_MSG_TIMED_OUT"), times=5),
        Fails("deliver", abortable("_PURGE_QUEUE")),
        Fails("deliver", abortable("OUT_OF_ORDER_SEQUENCE_NUMBER")),
    ],
    ids=lambda f: f"{f.method}-{f.error.kind}-{f.left}-{'applied' if f.applied else 'lost'}",
)
def test_one_fault_changes_no_outcome(fault: Fails) -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            fault.left, fault.hits = fault.left or fault.hits, 0
            fleet.log.faults.append(fault)
            handles = [await client.submit(work, n, key=f"k{n % 7}") for n in range(TASKS)]
            records = [await handle.record(60) for handle in handles]
            assert fault.hits, "the fault was never met"
            assert {r.status for r in records} == {"succeeded"}
            assert [r.output for r in records] == [2 * n for n in range(TASKS)]
            assert fleet.hosts[0].pools[0].failure is None
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("method", ["abort", "init", "committed"])
def test_recovery_survives_further_faults(method: str) -> None:
    fleet = Simulation(work)
    further = Fails(method, LogError("_TIMED_OUT"), times=4, client="")

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            kind = "ILLEGAL_GENERATION" if method == "abort" else "_INCONSISTENT"
            fleet.log.faults.extend([Fails("commit", abortable(kind), times=2), further])
            handles = [await client.submit(work, n) for n in range(TASKS)]
            for handle in handles:
                assert (await handle.record(60)).status == "succeeded"
            assert further.hits
            fleet.verify()

    simulate(scenario)


def test_an_abort_that_is_fatal_after_a_deleted_topic() -> None:
    """A child's topic is deleted after use: what the client says then names nobody."""

    @agent
    async def child(ctx: Context, text: str) -> str:
        return text

    @agent(retry=Retry(attempts=1))
    async def parent(ctx: Context, number: int) -> int:
        if number == 13:
            await ctx.submit(child, "x")
        return number

    fleet = Simulation(parent, child)
    gone = False

    def broker(call: Call) -> None:
        """What the real client does: the record is purged, commit times out, abort is fatal."""
        if not gone or not call.client.startswith("pool.parent") or call.applied:
            return
        if call.method == "deliver":
            purged = call.args[0] == "tasks.child"
            if purged:
                stuck.append(1)
                raise abortable("_PURGE_QUEUE")
        if call.method in ("commit", "send_offsets") and stuck:
            raise LogError("_TIMED_OUT")
        if call.method == "abort" and stuck:
            raise fatal("INVALID_TXN_STATE")
        if call.method == "init":
            stuck.clear()

    stuck: list[int] = []

    async def scenario() -> None:
        nonlocal gone
        async with fleet as client:
            await client.ask(parent, 13)
            await until(lambda: len(fleet.results(child)) == 1)
            await client.ask(child, "y")
            fleet.kill(fleet.hosts[0])
            (host,) = [await fleet_of_parent()]
            fleet.log.delete_topic("tasks.child")
            gone = True
            fleet.log.faults.append(broker)
            handles = [await client.submit(parent, n) for n in range(10, 20)]
            records = {r.output or 13: r for h in handles if (r := await h.record(60))}
            assert (records[13].status, records[13].reason) == ("failed", "record_refused")
            assert {r.status for n, r in records.items() if n != 13} == {"succeeded"}
            assert host.pools[0].failure is None

    async def fleet_of_parent():
        fleet._agents = (parent,)
        return await fleet.join("slot-parent")

    simulate(scenario)


@pytest.mark.parametrize("fault", ["missing", "invalid"])
def test_a_refused_child_fails_its_parent_and_nobody_else(fault: str) -> None:
    @agent
    async def child(ctx: Context, number: int) -> int:
        return number

    @agent(retry=Retry(attempts=1))
    async def parent(ctx: Context, number: int) -> int:
        ctx.charge("unit", amount_micros=1)
        if number % 10 == 3:
            await ctx.submit(child, number)
        await asyncio.sleep(0.05)
        return number

    fleet = Simulation(parent, child)

    def refuse(call: Call) -> None:
        if call.method == "deliver" and not call.applied and call.args[0] == "tasks.child":
            raise abortable("_UNKNOWN_TOPIC" if fault == "missing" else "INVALID_RECORD")

    async def scenario() -> None:
        async with fleet as client:
            fleet.log.faults.append(refuse)
            handles = [await client.submit(parent, n, key=f"k{n % 3}") for n in range(TASKS)]
            for number, handle in enumerate(handles):
                record = await handle.record(60)
                if number % 10 == 3:
                    assert (record.status, record.reason) == ("failed", "record_refused")
                else:
                    assert (record.status, record.output) == ("succeeded", number)
                assert record.cost_micros == 1
            assert len(fleet.dead(parent)) == 4
            assert fleet.tasks(child) == []
            assert fleet.hosts[0].pools[0].failure is None
            fleet.verify()

    simulate(scenario)


def test_a_refused_result_stops_the_pool_and_nothing_is_committed() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            before = fleet.log.admin().committed("pool.work", "tasks.work", range(4))
            fleet.log.delete_topic("results.work")
            for number in range(10):
                await client.submit(work, number)
            host = fleet.hosts[0]
            with pytest.raises(PoolStopped, match=r"results\.work") as stopped:
                await asyncio.wait_for(host.wait(asyncio.Event()), 60)
            assert stopped.value.hint
            after = fleet.log.admin().committed("pool.work", "tasks.work", range(4))
            assert {p: c.offset for p, c in after.items() if c} == {
                p: c.offset for p, c in before.items() if c
            }
            assert fleet.dead(work) == []

    simulate(scenario)


def test_fenced_three_times_in_a_row_means_that_the_slot_is_in_use() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            fleet.log.faults.append(Fails("commit", fatal("_FENCED"), times=3))
            await client.submit(work, 2)
            with pytest.raises(SlotInUse, match="slot-0") as raised:
                await asyncio.wait_for(fleet.hosts[0].wait(asyncio.Event()), 60)
            assert raised.value.exit_code == 5

    simulate(scenario)


def test_fenced_now_and_then_is_borne() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            for _ in range(6):
                fleet.log.faults.append(Fails("commit", fatal("_FENCED")))
                await client.ask(work, 1)
                await asyncio.sleep(16)
            assert fleet.hosts[0].pools[0].failure is None
            fleet.verify()

    simulate(scenario)


def test_a_broker_that_is_away_for_long_makes_no_task_fail() -> None:
    """Alone in its transaction a good record times out as a refused one would."""
    fleet = Simulation(work)
    away = False

    def outage(call: Call) -> None:
        if away and call.method == "deliver" and call.client.startswith("pool.work"):
            raise abortable("_MSG_TIMED_OUT")
        if away and call.client == "admin" and call.method == "topics":
            raise LogError("_TRANSPORT")

    async def scenario() -> None:
        nonlocal away
        async with fleet as client:
            await client.ask(work, 1)
            fleet.log.faults.append(outage)
            away = True
            handle = await client.submit(work, 2)
            await asyncio.sleep(30)
            away = False
            assert (await handle.record(60)).status == "succeeded"
            fleet.verify()

    simulate(scenario)


def test_a_missing_right_stops_the_pool() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 1)
            fleet.log.faults.append(
                Fails("send_offsets", fatal("GROUP_AUTHORIZATION_FAILED"), times=99)
            )
            await client.submit(work, 2)
            with pytest.raises(PoolStopped, match="GROUP_AUTHORIZATION_FAILED"):
                await asyncio.wait_for(fleet.hosts[0].wait(asyncio.Event()), 60)

    simulate(scenario)


def test_what_is_too_much_for_one_transaction_is_sent_in_parts() -> None:
    fleet = Simulation(work)
    produced: list[Call] = []

    def slow(call: Call) -> None:
        if not call.client.startswith("pool.") or call.applied:
            return
        if call.method == "begin":
            produced.clear()
        elif call.method == "produce":
            produced.append(call)
        elif call.method == "commit" and len(produced) > 6:
            raise LogError("_TIMED_OUT")

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            fleet.log.faults.append(slow)
            handles = [await client.submit(work, n) for n in range(TASKS)]
            for handle in handles:
                assert (await handle.record(60)).status == "succeeded"
            fleet.verify()

    simulate(scenario)


def test_a_worker_that_is_stopped_in_an_outage_leaves_no_thread_behind() -> None:
    fleet = Simulation(work)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            outage = LogError("_TRANSPORT")
            fleet.log.faults.extend(
                Fails(method, outage, times=10**6) for method in ("commit", "init")
            )
            await client.submit(work, 1)
            pool = fleet.hosts[0].pools[0]
            await until(lambda: pool.shared.stats.aborts > 0)
            await fleet.hosts[0].stop()
            assert pool._committing is not None
            assert not pool._committing.alive()

    simulate(scenario)


def test_a_batch_that_is_too_large_as_a_whole_is_sent_in_parts() -> None:
    """The broker refuses all of a partition's records; each alone would fit."""
    fleet = Simulation(work)
    planned = 0

    def refuse(call: Call) -> None:
        nonlocal planned
        if not call.client.startswith("pool.") or call.applied:
            return
        if call.method == "begin":
            shared = fleet.hosts[0].pools[0].shared
            plan = shared.ledger.plan(shared.ownership, outboxes_max())
            planned = len(plan.outboxes) if plan else 0
        elif call.method == "deliver" and call.args[0] == "costs" and planned > 5:
            raise abortable("MSG_SIZE_TOO_LARGE")

    def outboxes_max() -> int:
        return fleet.hosts[0].pools[0]._committer._outboxes_max

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            fleet.log.faults.append(refuse)
            handles = [await client.submit(work, n) for n in range(TASKS)]
            for handle in handles:
                assert (await handle.record(60)).status == "succeeded"
            assert fleet.hosts[0].pools[0].shared.stats.aborts
            fleet.verify()

    simulate(scenario)
