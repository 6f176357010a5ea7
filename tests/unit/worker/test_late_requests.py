"""What comes late: a request that was sent again, and the news of an expulsion."""

from __future__ import annotations

import pytest

from streams.testing.memory import Call

from .simulation import Simulation, make, simulate, submitted, until
from .test_commit_faults import TASKS, abortable, work


def test_no_transaction_follows_one_that_lost_a_connection_in_the_same_epoch() -> None:
    """A reset leaves no trace in the call: the client has sent the request again at once."""
    fleet = Simulation(work)
    begun: list[Call] = []

    def note(call: Call) -> None:
        if call.client.startswith("pool.") and call.method == "begin" and not call.applied:
            begun.append(call)
        if call.client.startswith("pool.") and call.method == "send_offsets" and len(begun) == 2:
            # The late request arrives before the next transaction is aborted.
            fleet._time.advance(0.5)
            raise abortable("ILLEGAL_GENERATION")

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            fleet.log.faults.append(note)
            name = fleet.hosts[0].pools[0].identity.transactional_id
            fleet.log.delay(name, "commit", 0.3, again=True)
            handles = [await client.submit(work, n) for n in range(TASKS)]
            for handle in handles:
                assert (await handle.record(60)).status == "succeeded"
            assert len(begun) > 2
            fleet.verify()

    simulate(scenario)


@pytest.mark.parametrize("ends", ["commit", "abort"])
def test_no_transaction_follows_a_slow_one_in_the_same_epoch(ends: str) -> None:
    """What comes late: a request that was sent again, and the news of an expulsion."""
    fleet = Simulation(work)
    calls: list[str] = []

    def slow(call: Call) -> None:
        if not call.client.startswith("pool.") or call.applied:
            return
        calls.append(call.method)
        if ends == "abort" and calls.count("commit") == 1 and call.method == "commit":
            raise abortable("ILLEGAL_GENERATION")
        if call.method == ends and calls.count(ends) == 1:
            fleet._time.advance(4.0)

    async def scenario() -> None:
        async with fleet as client:
            await client.ask(work, 0)
            fleet.log.faults.append(slow)
            handles = [await client.submit(work, n) for n in range(TASKS)]
            for handle in handles:
                assert (await handle.record(60)).status == "succeeded"
            fleet.verify()

    simulate(scenario)
    after = calls[calls.index(ends) + 1 :]
    assert "begin" in after
    assert "init" in after[: after.index("begin")]


def test_a_member_that_was_expelled_while_it_joined_commits_nothing_of_before() -> None:
    """Its client keeps what it had, and says nothing: only the member id is another one."""
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            (first,) = fleet.hosts
            process = fleet.member(first).process
            group = fleet.log._broker.groups["pool.work"]

            def cut(call: Call) -> None:
                """It has heard that the group changes, and its answer does not arrive."""
                if call.process == process and call.method == "consume" and group.rebalancing_since:
                    fleet.log.freeze(process, joining=True)

            handles = await submitted(fleet, client, work)
            await until(lambda: first.pools[0].shared.stats.succeeded > 10)
            fleet.log.faults.append(cut)
            second = await fleet.join("two")
            await until(lambda: len(fleet.owned(second)) == 4)
            assert fleet.owned(first), "it takes itself for a member"
            fleet.log.faults.remove(cut)
            fleet.log.thaw(process)
            records = [await handle.record(60) for handle in handles]
            assert {record.status for record in records} == {"succeeded"}
            await until(lambda: len(fleet.owned(first)) == 2 and not group.unstable)
            fleet.verify()
            assert first.pools[0].shared.renewed == 1

    simulate(scenario)


@pytest.mark.parametrize("dies", [False, True], ids=["who lives on", "who dies"])
def test_a_commit_that_its_broker_forgot_is_made_again_and_nothing_of_it_stays(dies: bool) -> None:
    """It was decided and confirmed, and no partition was told: offsets and results hang."""
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            (host,) = fleet.hosts
            name = host.pools[0].identity.transactional_id
            forgotten = 0

            def forget(call: Call) -> None:
                nonlocal forgotten
                if (call.client, call.method, call.applied) != (name, "commit", False):
                    return
                forgotten += 1
                if forgotten == 3:
                    # The client has lost its connection too, and asked again.
                    fleet.log.delay(name, "commit", 0.01, again=True)
                    fleet.log.forget(name)

            fleet.log.faults.append(forget)
            handles = await submitted(fleet, client, work)
            await until(lambda: forgotten >= 3)
            if dies:
                fleet.kill(host)
                await fleet.join("next")
            records = [await handle.record(60) for handle in handles]
            assert {record.status for record in records} == {"succeeded"}
            fleet.verify()

    simulate(scenario)
