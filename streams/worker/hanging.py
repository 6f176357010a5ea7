"""Ends what no transaction knows any more and still holds offsets of a group."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress

from streams.errors import LogError
from streams.ports import Admin, Clock, Committed, Membership, TransactionalProducer, Wait
from streams.worker.shared import Identity, Shared

log = logging.getLogger("streams.commit")

ABORT_TIMEOUT_S = 5.0
LOOKS_S = (10.0, 30.0)
"""How long after a transaction failed it is looked for what arrived late."""


class Latecomers:
    """Looks for offsets that arrived after the end of their transaction.

    They hold their partitions from then on, and nobody minds until one changes hands.
    """

    def __init__(self, admin: Admin, clock: Clock, group: str, topic: str) -> None:
        self._admin = admin
        self._clock = clock
        self._group = group
        self._topic = topic
        self._looks: list[float] = []

    def doubt(self) -> None:
        """A transaction failed: what it sent may still arrive."""
        now = self._clock.monotonic()
        self._looks = [now + seconds for seconds in LOOKS_S]

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return bool(self._looks) and self._clock.monotonic() >= self._looks[0]

    def look(
        self, partitions: Sequence[int]
    ) -> Generator[Wait | None, None, Mapping[int, Committed]]:
        """What is committed where something holds the offset; while no transaction is open."""
        del self._looks[0]
        held = list[int]()
        try:
            if not self._unstable(partitions):
                return {}
            for partition in partitions:
                yield None
                held += [partition] if self._unstable([partition]) else []
            last = self._admin.committed(self._group, self._topic, held, stable=False)
        except LogError as error:
            log.info("looking at the offsets of %s: %s", self._group, error)
            return {}
        if held:
            log.warning("%s: an offset of a transaction that is over holds %s", self._topic, held)
        return {partition: found for partition, found in last.items() if found is not None}

    def _unstable(self, partitions: Sequence[int]) -> bool:
        try:
            self._admin.committed(self._group, self._topic, partitions)
        except LogError as error:
            if error.kind != "UNSTABLE_OFFSET_COMMIT":
                raise
            return True
        return False


def clear(
    producer: TransactionalProducer,
    admin: Admin,
    identity: Identity,
    offsets: Mapping[int, Committed],
    membership: Membership,
) -> None:
    """Abort transactions over these offsets, and with them what hangs of the same id. LogError.

    What reaches a partition after the end of its transaction, or had its end forgotten by a broker
    that restarted (Kafka 4.4.0), is held by none that the coordinator knows. ``init`` does not end
    it: an offset would hold its partition for ever, and records would be committed with the next
    transaction there. So every partition that this id writes to is part of the abort.
    """
    topics = admin.topics()
    prefix = identity.topic.rpartition(".")[0] + "."
    children = [[name] for name in topics if name.startswith(prefix)]
    for names in (sorted(identity.own_topics), *children):
        producer.begin()
        for name in names:
            for partition in range(topics[name].partitions if name in topics else 0):
                producer.produce(name, partition, None, None)
        # Refused or not: what counts is that the partitions are part of the transaction. Of others'
        # tasks only those can hang that may be written.
        with suppress(LogError):
            producer.send_offsets(identity.topic, offsets, membership)
        producer.flush(ABORT_TIMEOUT_S)
        producer.abort(ABORT_TIMEOUT_S)


def end_hanging(
    producer: TransactionalProducer,
    admin: Admin,
    identity: Identity,
    partitions: Sequence[int],
    shared: Shared,
) -> None:
    """Clear what holds these offsets after an init, which left nothing open. LogError."""
    last = admin.committed(identity.group, identity.topic, partitions, stable=False)
    offsets = {partition: found for partition, found in last.items() if found is not None}
    clear(producer, admin, identity, offsets, shared.ownership.membership)
