"""What the committer says to the log, call by call."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from streams import Context, agent
from streams.testing.memory import Call

from .simulation import Simulation, simulate


@agent
async def work(ctx: Context, number: int) -> int:
    await asyncio.sleep(0.05)
    return number


def test_every_transaction_sends_offsets_even_if_nothing_moves() -> None:
    """One without offsets is not fenced by the group at all."""
    fleet = Simulation(work)
    transactions: dict[str, list[list[Call]]] = defaultdict(list)

    def listen(call: Call) -> None:
        if call.applied or not call.client.startswith("pool."):
            return
        if call.method == "begin":
            transactions[call.client].append([])
        elif call.method in ("produce", "send_offsets", "commit"):
            transactions[call.client][-1].append(call)

    async def scenario() -> None:
        async with fleet as client:
            fleet.log.faults.append(listen)
            await fleet.join("late")  # its claims are transactions in which nothing moves
            handles = [await client.submit(work, n, key=f"k{n % 9}") for n in range(50)]
            for handle in handles:
                await handle.record(60)

    simulate(scenario)
    assert len(transactions) == 2
    for each in transactions.values():
        # Others were cut short by a rebalance.
        committed = [calls for calls in each if calls[-1].method == "commit"]
        for calls in committed:
            methods = [call.method for call in calls]
            assert methods[-2:] == ["send_offsets", "commit"]
            assert methods.count("send_offsets") == 1
            assert calls[-2].args[1], "no partition was named"
        assert any(len(calls) == 2 for calls in committed), "no claim was met"
