"""Members of a group that no worker stands behind, and how they are made to leave.

A coordinator that took an unfinished load of its log for a finished one (Kafka 4.4.0, ADR 15) has
members of the past in its groups. Sessions are watched from the end of the load on, so that those
it read after that never expire: what they are assigned is nobody's, and each rebalance waits for
them (``max.poll.interval.ms``) and leaves them their part.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from streams.ports import Clock, Log, Stepper
from streams.worker.shared import Identity

log = logging.getLogger("streams.worker")

JOIN_S = 15.0
POLL_S = 0.05


def ghosts_of(
    source: Log, identity: Identity, alive: Collection[str], orphans: Collection[int]
) -> list[str]:
    """The slots of static members that are not ``alive`` and may hold what nobody works on.

    Asks the coordinator; LogError. While it rebalances it does not say who holds what.
    """
    # The client's request may end the process if it times out (librdkafka 4605): it is made only
    # where partitions lie idle, and while the brokers serve heartbeats.
    members = source.admin().group(identity.group).members
    held = {(identity.topic, partition) for partition in orphans}
    return sorted(
        member.instance_id
        for member in members
        if member.instance_id
        and member.instance_id not in alive
        and (not member.partitions or not held.isdisjoint(member.partitions))
    )


def displace(source: Log, identity: Identity, slot: str, clock: Clock) -> Stepper:
    """Take the place of the member in this slot, then leave the group in its name. LogError."""
    log.warning("%s is a member of %s and no worker: it is removed", slot, identity.group)
    consumer = source.group_consumer(
        group=identity.group,
        topic=identity.topic,
        client_id=f"{identity.group}.{slot}",
        slot=slot,
    )
    try:
        consumer.subscribe(_Nobody())
        end = clock.monotonic() + JOIN_S
        while not consumer.membership().valid and clock.monotonic() < end:
            consumer.consume(1, POLL_S)
            yield None
        consumer.unsubscribe()
    finally:
        consumer.close()


class _Nobody:
    """Works on nothing: partitions without an offset are not fetched."""

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        return {}

    def on_revoke(self, partitions: Sequence[int]) -> None:
        pass

    def on_lost(self, partitions: Sequence[int]) -> None:
        pass
