"""A coordinator that serves old offsets, or none, is not believed: the results know better."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.catalog import read_from
from streams.core.offsets import decode
from streams.errors import LogError, StreamsError
from streams.ids import partition_of
from streams.ports import Committed
from streams.worker.witness import STALE_S

from .simulation import Fails, Simulation, make, simulate, submitted, until

GROUP, TASKS = "pool.work", "tasks.work"


def offsets(fleet: Simulation) -> dict[Any, Committed]:
    """What the coordinator holds, to be changed under everybody's feet."""
    return fleet.log._broker.groups[GROUP].offsets


def denied(fleet: Simulation) -> None:
    """Nobody may read the coordinator's log."""
    error = LogError("TOPIC_AUTHORIZATION_FAILED")
    fleet.log.faults.append(Fails("committed_in_log", error, times=10_000, client=""))


def later(seconds: float, fleet: Simulation, truth: dict[Any, Committed]) -> None:
    """The coordinator has loaded all, after a while."""
    asyncio.get_running_loop().call_later(seconds, lambda: offsets(fleet).update(truth))


async def answered(client, work, count: int = 40) -> None:
    handles = [await client.submit(work, n, key=f"key-{n % 17}") for n in range(count)]
    assert [(await handle.record(200)).output for handle in handles] == list(range(count))


@pytest.mark.parametrize("serves", ["old", "none", "one that is old"])
def test_offsets_that_the_results_refute_are_read_from_the_coordinators_log(
    serves: str, caplog: pytest.LogCaptureFixture
) -> None:
    work, starts, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await answered(client, work, 20)
            old = {} if serves == "none" else dict(offsets(fleet))
            await answered(client, work)
            fleet.kill(fleet.hosts.pop())
            await asyncio.sleep(10)
            truth, begun = dict(offsets(fleet)), sum(starts.values())
            if serves == "one that is old":
                old = {**truth, (TASKS, 2): old[TASKS, 2]}
            offsets(fleet).clear()
            offsets(fleet).update(old)
            host = await fleet.join("next")
            await until(lambda: len(fleet.owned(host)) == 4, 5)
            assert "has old offsets of" in caplog.text
            await until(
                lambda: all(offsets(fleet).get(p) not in (None, old.get(p)) for p in truth), 5
            )
            assert sum(starts.values()) == begun, "something ran again"
            await answered(client, work)
            assert host.pools[0].shared.stopped == {}
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("serves", ["old", "none"])
def test_offsets_that_the_results_refute_are_waited_for(serves: str) -> None:
    work, starts, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            denied(fleet)
            await answered(client, work, 20)
            old = dict(offsets(fleet)) if serves == "old" else {}
            await answered(client, work)
            fleet.kill(fleet.hosts.pop())
            await asyncio.sleep(10)
            truth, begun = dict(offsets(fleet)), sum(starts.values())
            offsets(fleet).clear()
            offsets(fleet).update(old)
            later(20, fleet, truth)
            host = await fleet.join("next")
            await asyncio.sleep(15)
            assert fleet.owned(host) == []
            assert sum(starts.values()) == begun, "something ran again"
            await until(lambda: len(fleet.owned(host)) == 4, 60)
            assert host.pools[0].shared.renewed == 0, "it waits, and nobody takes it for absent"
            await answered(client, work)
            fleet.verify()

    simulate(scenario)


def test_offsets_that_are_lost_for_good_stop_their_partition_alone() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            denied(fleet)
            await answered(client, work)
            await fleet.hosts.pop().stop()
            del offsets(fleet)[TASKS, 2]
            host = await fleet.join("next")
            await until(lambda: 2 in host.pools[0].shared.stopped, STALE_S + 30)
            error = host.pools[0].shared.stopped[2]
            assert "has no offset of tasks.work[2], and there are results" in error.message
            assert "--partition 2 --to OFFSET" in error.hint
            await until(lambda: fleet.owned(host) == [0, 1, 3], 30)

    simulate(scenario)


def test_of_several_that_are_old_only_what_the_log_lost_too_is_stopped() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await answered(client, work, 20)
            old = dict(offsets(fleet))
            await answered(client, work)
            await fleet.hosts.pop().stop()
            offsets(fleet).update(old)
            del fleet.log._broker.groups[GROUP].logged[TASKS, 2]
            host = await fleet.join("next")
            await until(lambda: bool(host.pools[0].shared.stopped), STALE_S + 30)
            await until(lambda: fleet.owned(host) == [0, 1, 3], 30)
            assert list(host.pools[0].shared.stopped) == [2]

    simulate(scenario)


def test_an_outage_does_not_use_up_the_time_that_old_offsets_are_given() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await answered(client, work, 20)
            old = dict(offsets(fleet))
            await answered(client, work)
            await fleet.hosts.pop().stop()
            offsets(fleet).update(old)
            back = fleet.clock.monotonic() + STALE_S + 10
            error = LogError("_TIMED_OUT", retriable=True)
            silent = Fails(
                "committed", error, times=10_000, when=lambda _: fleet.clock.monotonic() < back
            )
            unreadable = Fails(
                "committed_in_log",
                error,
                times=10_000,
                when=lambda _: fleet.clock.monotonic() < back + 8,
            )
            silent.client = unreadable.client = ""
            fleet.log.faults.extend([silent, unreadable])
            host = await fleet.join("next")
            await until(lambda: len(fleet.owned(host)) == 4, STALE_S + 60)
            assert silent.hits > 10
            assert unreadable.hits > 3
            assert host.pools[0].shared.stopped == {}
            await answered(client, work)
            fleet.verify()

    simulate(scenario)


def test_an_offset_that_was_set_by_hand_is_believed_until_a_task_is_answered() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await answered(client, work)
            await fleet.hosts.pop().stop()
            offsets(fleet)[TASKS, 2] = Committed(0, "")
            # Twice: the second owner finds the first one's claim, and no result since.
            for name in ("first", "second"):
                host = await fleet.join(name)
                host.pools[0].executor._draining = name == "first"
                await until(lambda host=host: len(fleet.owned(host)) == 4, 10)
                await until(lambda: bool(offsets(fleet)[TASKS, 2].metadata), 10)
                found = offsets(fleet)[TASKS, 2]
                if name == "first":
                    assert decode(found.offset, found.metadata).sought
                    await host.stop()
            ends = fleet.log.admin().bounds(TASKS, [2])[2].end
            await until(lambda: offsets(fleet)[TASKS, 2].offset == ends, 60)
            found = offsets(fleet)[TASKS, 2]
            assert not decode(found.offset, found.metadata).sought

    simulate(scenario)


@pytest.mark.parametrize("readable", [True, False])
def test_after_an_unknown_outcome_old_offsets_do_not_make_it_be_sent_again(readable: bool) -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            if not readable:
                denied(fleet)
            await answered(client, work, 20)
            old = dict(offsets(fleet))

            def lose(call: Any) -> bool:
                # The commit took effect, its reply is lost, and so is what the coordinator knew.
                truth = dict(offsets(fleet))
                offsets(fleet).update(old)
                if not readable:
                    later(5, fleet, truth)
                return True

            fault = Fails("commit", LogError("_TIMED_OUT", retriable=True), applied=True, when=lose)
            handles = await submitted(fleet, client, work, 30)
            fleet.log.faults.append(fault)
            records = [await handle.record(100) for handle in handles]
            assert fault.hits == 1
            assert [r.output for r in records] == list(range(30))
            await asyncio.sleep(5)
            fleet.verify()

    simulate(scenario)


def test_a_live_worker_goes_on_without_the_partitions_whose_offsets_are_lost() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            denied(fleet)
            await answered(client, work)

            def lose(call: Any) -> bool:
                del offsets(fleet)[TASKS, 2]
                return True

            fault = Fails("commit", LogError("_TIMED_OUT", retriable=True), when=lose)
            fleet.log.faults.append(fault)
            await client.submit(work, 0, key="key-0")
            (host,) = fleet.hosts
            pool = host.pools[0]
            await until(lambda: 2 in pool.shared.stopped, STALE_S + 30)
            assert "there are results of later tasks" in pool.shared.stopped[2].message
            assert pool.failure is None
            keys = [f"key-{n}" for n in range(20)]
            others = [k for k in keys if partition_of(k.encode(), 4) != 2]
            for key in others:
                handle = await client.submit(work, 1, key=key)
                assert (await handle.record(60)).output == 1
            # Nor does the next recovery wait for what was given up.
            fleet.log.faults.append(Fails("commit", LogError("_TIMED_OUT", retriable=True)))
            handle = await client.submit(work, 1, key=others[0])
            assert (await handle.record(20)).output == 1

    simulate(scenario)


def test_results_that_cannot_be_read_for_long_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, _, fleet = make()
    failures = 0

    def silent(*args: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures <= 3:
            raise StreamsError("topic 'results.work' cannot be read to its end")
        return read_from(*args)

    async def scenario() -> None:
        async with fleet as client:
            await answered(client, work)
            await fleet.hosts.pop().stop()
            monkeypatch.setattr("streams.worker.witness.read_from", silent)
            host = await fleet.join("next")
            await until(lambda: len(fleet.owned(host)) == 4, 60)
            assert failures > 3
            assert host.pools[0].failure is None
            await answered(client, work)
            fleet.verify()

    simulate(scenario)


def test_where_the_results_are_gone_the_pool_ends_and_says_so() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            await answered(client, work, 20)
            pool = fleet.hosts[0].pools[0]

            def lose(call: Any) -> bool:
                del fleet.log._broker.storage.topics["results.work"]
                return True

            fleet.log.faults.append(Fails("commit", LogError("_TIMED_OUT"), when=lose))
            await submitted(fleet, client, work, 30)
            await until(lambda: pool.failure is not None, 60)
            assert "'results.work' refuses" in str(pool.failure)

    simulate(scenario)
