"""Cooperative-sticky assignment as a function of who owns what."""

from __future__ import annotations

from collections.abc import Mapping, Set


def target(owned: Mapping[str, Set[int]], partitions: int) -> dict[str, set[int]]:
    """A balanced assignment (sizes differ by at most one) that moves as little as it can."""
    if not owned:
        return {}
    size, larger = divmod(partitions, len(owned))
    # Those who own most keep the larger shares; ties go to whoever joined first.
    order = sorted(owned, key=lambda member: -len(owned[member]))
    room = {member: size + (place < larger) for place, member in enumerate(order)}
    wanted = {
        member: {p for p in sorted(owned[member])[: room[member]] if p < partitions}
        for member in owned
    }
    free = sorted(set(range(partitions)).difference(*wanted.values()), reverse=True)
    for member in owned:
        while free and len(wanted[member]) < room[member]:
            wanted[member].add(free.pop())
    return wanted


def cooperative(owned: Mapping[str, Set[int]], partitions: int) -> dict[str, frozenset[int]]:
    """The target without what another member still owns.

    Who has to give something up joins again once it has, and only that next generation hands
    it on; so no partition ever has two owners.
    """
    wanted = target(owned, partitions)
    return {
        member: frozenset(share.difference(*(owned[other] for other in owned if other != member)))
        for member, share in wanted.items()
    }
