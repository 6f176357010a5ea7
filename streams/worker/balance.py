"""Looks for partitions that nobody owns, and has the group balanced anew.

A static member that dies while it gives partitions up, and comes back in its slot before its
session is over, is handed what it was assigned at last: the partitions it was to give up belong to
nobody then, and no broker and no client does anything about it until somebody joins or leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from streams.errors import LogError
from streams.ports import GroupInfo, Log, Signal, Stepper, Wait
from streams.worker.pool import Pool

log = logging.getLogger("streams.worker")

LOOK_S = 4.0
"""Two looks in a row must see the same: a rebalance under way has partitions without owner too."""


class Balance:
    """Watches the groups of one worker's pools; ``run`` is its stepper."""

    def __init__(self, source: Log, pools: Sequence[Pool], signal: Signal) -> None:
        self._admin = source.admin()
        self._pools = pools
        self._signal = signal
        self._seen: dict[Pool, frozenset[int]] = {}
        self._stopping = False

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        self._signal.set()

    def run(self) -> Stepper:
        """Look every LOOK_S until stopped."""
        while True:
            yield Wait(self._signal, LOOK_S)
            if self._stopping:
                return
            for pool in self._pools:
                self._look(pool)
                yield None

    def _look(self, pool: Pool) -> None:
        try:
            group = self._admin.group(pool.identity.group)
        except LogError as error:
            log.info("looking at group %s: %s", pool.identity.group, error)
            return
        orphans = orphans_of(group, pool.partitions)
        before, self._seen[pool] = self._seen.get(pool), orphans
        if orphans and orphans == before and is_least_laden(group, pool.identity.transactional_id):
            log.warning(
                "nobody owns %s of %s: the group is balanced anew",
                sorted(orphans),
                pool.identity.topic,
            )
            self._seen.pop(pool)
            pool.rejoin()


def orphans_of(group: GroupInfo, partitions: int) -> frozenset[int]:
    """Partitions without an owner; none while the group is being balanced or has no members."""
    if group.state != "stable" or not group.members:
        return frozenset()
    owned = {partition for member in group.members for _, partition in member.partitions}
    return frozenset(range(partitions)) - owned


def is_least_laden(group: GroupInfo, client_id: str) -> bool:
    """Whether this member owns least, the first by id among equals: one acts, at the least cost."""
    least = min(group.members, key=lambda member: (len(member.partitions), member.member_id))
    return least.client_id == client_id
