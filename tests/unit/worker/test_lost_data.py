"""A partition whose data or progress were lost stops, says so, and stops alone."""

from __future__ import annotations

import asyncio

import pytest

from streams.ports import Committed
from streams.worker.host import Host

from .simulation import Simulation, make, simulate, submitted, until


@pytest.mark.parametrize("damage", ["map", "start", "beyond"])
def test_a_partition_that_cannot_go_on_stops_alone(damage: str) -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            for handle in await submitted(fleet, client, work, 40):
                await handle.record(100)
            await fleet.hosts.pop().stop()
            admin = fleet.log.admin()
            before = admin.committed("pool.work", "tasks.work", [2])[2]
            assert before is not None
            assert before.offset > 0
            if damage == "map":
                broken = Committed(before.offset, before.metadata[:-3] + "xyz")
                admin.set_committed("pool.work", "tasks.work", {2: broken})
            elif damage == "beyond":
                admin.set_committed("pool.work", "tasks.work", {2: Committed(999, "")})
            else:
                later = [await client.submit(work, n, key=f"key-{n % 17}") for n in range(40)]
                fleet.log.delete_before("tasks.work", 2, before.offset + 3)
            host = await fleet.join("next")
            later = [await client.submit(work, n, key=f"key-{n % 17}") for n in range(40)]
            await asyncio.sleep(60)
            assert list(host.pools[0].shared.stopped) == [2]
            error = host.pools[0].shared.stopped[2]
            assert error.code == ("E0802" if damage == "map" else "E0801")
            at = before.offset
            named = {
                "map": f"the commit metadata at offset {at} cannot be read",
                "start": f"offsets {at} to {at + 2} of tasks.work[2] were deleted",
                "beyond": "the group is at offset 999 of tasks.work[2], which ends at ",
            }
            assert named[damage] in error.message
            assert "group seek" in error.hint
            assert host.pools[0].failure is None
            for handle in later:
                task = next(r for r in fleet.read("tasks.work") if _is(r, handle.task_id))
                if task.partition() != 2:
                    await handle.record(1)
            after = admin.committed("pool.work", "tasks.work", [2])[2]
            if damage == "start":
                assert after == before
            assert not [r for r in fleet.results(work) if r.task_id in _of(fleet, later, 2)]

    simulate(scenario)


def test_a_partition_without_an_offset_whose_log_begins_later_stops_alone() -> None:
    """Nothing says whether what is gone was done: as after offsets.retention.minutes."""
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            for handle in await submitted(fleet, client, work, 40):
                await handle.record(100)
            await fleet.hosts.pop().stop()
            group = fleet.log._broker.groups["pool.work"]
            del group.offsets["tasks.work", 2], group.logged["tasks.work", 2]
            fleet.log.delete_before("tasks.work", 2, 5)
            host = await fleet.join("next")
            later = [await client.submit(work, n, key=f"key-{n % 17}") for n in range(40)]
            await _goes_on_without(2, fleet, host, later)
            error = host.pools[0].shared.stopped[2]
            assert "begins at offset 5 and the group has no offset there" in error.message
            assert "group seek" in error.hint

    simulate(scenario)


def test_a_partition_whose_next_task_is_deleted_under_a_worker_stops_alone() -> None:
    work, _, fleet = make()

    async def scenario() -> None:
        async with fleet as client:
            for handle in await submitted(fleet, client, work, 40):
                await handle.record(100)
            (host,) = fleet.hosts
            fleet.freeze(host)
            later = [await client.submit(work, n, key=f"key-{n % 17}") for n in range(40)]
            end = fleet.log.admin().bounds("tasks.work", [2])[2].end
            fleet.log.delete_before("tasks.work", 2, end - 1)
            fleet.thaw(host)
            await _goes_on_without(2, fleet, host, later)
            error = host.pools[0].shared.stopped[2]
            assert "the offset to go on from is not in the log any more" in error.message
            assert "group seek" in error.hint

    simulate(scenario)


async def _goes_on_without(partition: int, fleet: Simulation, host: Host, handles) -> None:
    """The worker has stopped one partition with lost data and answers the others' tasks."""
    await until(lambda: partition in host.pools[0].shared.stopped)
    ids = set[str]().union(*(_of(fleet, handles, p) for p in range(4) if p != partition))
    others = [h for h in handles if h.task_id in ids]
    assert 0 < len(others) < len(handles)
    for handle in others:
        await handle.record(60)
    await asyncio.sleep(60)
    assert list(host.pools[0].shared.stopped) == [partition]
    assert host.pools[0].shared.stopped[partition].code == "E0801"
    assert host.pools[0].failure is None
    (agent,) = fleet._agents
    done = {result.task_id for result in fleet.results(agent)}
    assert not done & ({h.task_id for h in handles} - {h.task_id for h in others})


def _is(record, task_id: str) -> bool:
    return task_id.encode() in (record.value() or b"")


def _of(fleet: Simulation, handles, partition: int) -> set[str]:
    records = [r for r in fleet.read("tasks.work") if r.partition() == partition]
    return {h.task_id for h in handles if any(_is(r, h.task_id) for r in records)}
