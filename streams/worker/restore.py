"""Where a partition goes on: read what its last owner left, ending its open transaction first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from streams.core.ledger import inherit
from streams.core.offsets import CompletionMap, decode
from streams.core.verdicts import DENIED_KINDS
from streams.errors import DataLost, LogError, MapUnreadable, StreamsError
from streams.ports import Bounds, Clock, Committed, Log, Membership
from streams.worker.hanging import clear
from streams.worker.shared import Identity
from streams.worker.witness import Witness

log = logging.getLogger("streams.restore")

PATIENCE_S = 1.0
"""How long a predecessor's open transaction is waited for before it is ended."""
LATE_S = 20.0
"""By now the broker itself has ended every transaction that its coordinator knows."""
LIMIT_S = 240.0
"""Below the time (max.poll.interval.ms) after which the client leaves the group by itself."""
INIT_TIMEOUT_S = 5.0
_DENIED_KINDS = DENIED_KINDS | {"TOPIC_AUTHORIZATION_FAILED"}


@dataclass(slots=True)
class Restored:
    """Where each partition starts, and which cannot start."""

    starts: dict[int, CompletionMap]
    stopped: dict[int, StreamsError]
    ends: dict[int, int]

    def offset_of(self, partition: int) -> int:
        """Where it is fetched from; one that cannot start, from its end."""
        start = self.starts.get(partition)
        return self.ends[partition] if start is None else start.offset


class Restorer:
    """Reads committed offsets and maps of gained partitions. Blocks; called by one thread."""

    def __init__(
        self,
        identity: Identity,
        source: Log,
        clock: Clock,
        pause: Callable[[float], None],
        membership: Callable[[], Membership],
        clear_own: Callable[[Mapping[int, Committed]], None],
        live: Callable[[], frozenset[str] | None],
    ) -> None:
        """``pause`` waits the seconds given while the worker shows that it is alive.

        ``clear_own`` has the committer end what hangs of this worker's own id. ``live`` are the
        transactional ids of the live workers, None while nobody is known to be gone.
        """
        self._live = live
        self._membership = membership
        self._clear_own = clear_own
        self._identity = identity
        self._witness = Witness(source, clock, identity.group, identity.topic, identity.results)
        self._log = source
        self._admin = source.admin()
        self._clock = clock
        self._pause = pause

    def restore(self, partitions: Iterable[int]) -> Restored:
        """The state of each partition; LogError if the log does not answer within LIMIT_S."""
        wanted = list(partitions)
        committed, bounds, stale = self._read(wanted)
        restored = Restored({}, {}, {})
        for partition in wanted:
            end = bounds[partition]
            restored.ends[partition] = end.end
            try:
                left = start_of(self._identity, partition, committed.get(partition), end)
                if partition in stale:
                    raise self._witness.contradicts(partition, committed.get(partition))
                restored.starts[partition] = inherit(left, end.end)
            except (DataLost, MapUnreadable) as error:
                restored.stopped[partition] = error
        return restored

    def _read(
        self, partitions: list[int]
    ) -> tuple[Mapping[int, Committed | None], dict[int, Bounds], list[int]]:
        """Offsets and bounds; asked again while a broker is down or still finds its leaders.

        And which of the offsets are given up as stale.
        """
        identity = self._identity
        started, doubt = self._clock.monotonic(), self._witness.doubt()
        unstable = False
        end_at, fence_at = PATIENCE_S, LATE_S
        said_at = -PATIENCE_S
        while True:
            waited = self._clock.monotonic() - started
            try:
                if unstable and waited >= end_at:
                    # Again each second: a dead owner may still count as alive.
                    end_at = waited + PATIENCE_S
                    fence = waited >= fence_at
                    fence_at += LATE_S if fence else 0.0
                    self._end_dead_owners(partitions, late=waited >= LATE_S, fence=fence)
                said = self._admin.committed(identity.group, identity.topic, partitions)
                bounds = self._admin.bounds(identity.topic, partitions)
                committed, stale = doubt.settle(said)
                return committed, bounds, stale
            except LogError as error:
                if waited > LIMIT_S or error.kind in _DENIED_KINDS:
                    raise
                if waited - said_at >= PATIENCE_S:
                    said_at = waited
                    log.info("waiting for the offsets of %s: %s", identity.group, error)
                unstable = error.kind == "UNSTABLE_OFFSET_COMMIT"
            self._pause(0.05)

    def _end_dead_owners(self, partitions: list[int], *, late: bool, fence: bool) -> None:
        """Init the transactional ids of owners that died with an open transaction.

        Of those who gave a partition up in order only when it is ``late``: they may still be
        closing. Of live workers, or where nobody knows who is alive, only to ``fence``: they begin
        anew, which is better once in a while than a partition that is held for ever.
        """
        identity = self._identity
        last = self._admin.committed(identity.group, identity.topic, partitions, stable=False)
        live = self._live()
        owners: dict[str, dict[int, Committed]] = {}
        for partition, found in last.items():
            if found is None or not found.metadata:
                continue
            try:
                left = decode(found.offset, found.metadata)
            except MapUnreadable:
                log.warning("partition %s: the last owner is unknown", partition)
                continue
            own = left.owner == identity.transactional_id
            if left.owner and (own or late or not left.released):
                owners.setdefault(left.owner, {})[partition] = found
        if identity.transactional_id in owners:
            self._clear_own(owners[identity.transactional_id])
        if live is None and not fence:
            return
        spared = frozenset[str]() if live is None or fence else live
        for owner in owners.keys() - spared - {identity.transactional_id}:
            log.info("ending the open transaction of %s, which is gone", owner)
            producer = self._log.transactional_producer(owner, group=identity.group)
            try:
                producer.init(INIT_TIMEOUT_S)
                clear(producer, self._admin, identity, owners[owner], self._membership())
            except LogError as error:
                log.warning("ending the transaction of %s: %s", owner, error)
            finally:
                producer.destroy()


def start_of(
    identity: Identity, partition: int, committed: Committed | None, bounds: Bounds
) -> CompletionMap:
    """What the last owner left; DataLost or MapUnreadable if that cannot be gone on from."""
    where = f"{identity.topic}[{partition}]"
    seek = f"streams group seek {identity.group.rpartition('.')[2]} --partition {partition}"
    if committed is None or committed.offset < 0:
        if bounds.start > 0:
            raise DataLost(
                f"{where} begins at offset {bounds.start} and the group has no offset there",
                hint=f"decide where to begin: {seek} --to start --execute",
            )
        return CompletionMap(0, 0)
    if committed.offset < bounds.start:
        raise DataLost(
            f"offsets {committed.offset} to {bounds.start - 1} of {where} were deleted "
            "before they were finished",
            hint=f"accept the loss with: {seek} --to start --execute; then raise retention.ms",
        )
    if committed.offset > bounds.end:
        raise DataLost(
            f"the group is at offset {committed.offset} of {where}, which ends at {bounds.end}",
            hint=f"the topic was made anew; set the offset with: {seek} --to start --execute",
        )
    if not committed.metadata:
        # Set by `group seek`: a bare offset without any map.
        return CompletionMap(committed.offset, committed.offset, sought=True)
    left = decode(committed.offset, committed.metadata)
    if left.high > bounds.end:
        raise MapUnreadable(
            f"the map of {where} reaches to {left.high}, beyond the end {bounds.end}",
            hint=f"set the offset with: {seek} --to {committed.offset} --execute",
        )
    return left
