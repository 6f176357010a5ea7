"""Looks for partitions that nobody works on, and has the group balanced anew.

A static member that dies while it gives partitions up, and comes back in its slot before its
session is over, is handed what it was assigned at last: the partitions it was to give up belong to
nobody then, and no broker and no client does anything about it until somebody joins or leaves.
Nor does the group take a partition away from a worker that learns that another has claimed it.
And a coordinator may keep a member that is long gone (``ghosts``).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence

from streams.avro import decode
from streams.errors import LogError, RecordUndecodable
from streams.ports import Clock, Log, Reader, Signal, Stepper, Wait
from streams.records import Heartbeat
from streams.worker.ghosts import displace, ghosts_of
from streams.worker.liveness import Liveness
from streams.worker.pool import Pool

log = logging.getLogger("streams.worker")

LOOK_S = 1.0
WRONG_S = 20.0
"""Wrong for so long: a rebalance, or waiting for a dead owner's transaction, would be over."""
NOTHING = (frozenset[int](), frozenset[int]())
BATCH_MAX = 1_000
DENIED = "TOPIC_AUTHORIZATION_FAILED"
"""Not of the group: the client looks for a coordinator that a mere reader does not need."""
Claims = Mapping[str, Collection[int]]
"""By worker: the partitions of one agent that it says it has."""


class Balance:
    """Watches the pools of one worker by what all workers say of themselves.

    ``run`` is its stepper: it also fills ``liveness``.
    """

    def __init__(
        self,
        source: Log,
        heartbeats: str,
        worker_id: str,
        pools: Sequence[Pool],
        clock: Clock,
        signal: Signal,
        liveness: Liveness,
    ) -> None:
        self._log = source
        self._topic = heartbeats
        self._worker_id = worker_id
        self._pools = pools
        self._clock = clock
        self._signal = signal
        self._liveness = liveness
        self._wrong: dict[Pool, tuple[float, tuple[frozenset[int], frozenset[int]]]] = {}
        """By pool: since when, and what: foreign partitions of its own, and those of nobody."""
        self._stopping = False
        self.failure: LogError | None = None
        """The right to read heartbeats is missing: what needs one to act is left undone."""

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        self._signal.set()

    def run(self) -> Stepper:
        """Listen, and look every LOOK_S, until stopped."""
        reader = self._log.reader()
        try:
            yield from self._begin(reader)
            while not self._stopping:
                yield from self._listen(reader)
                for pool in self._pools:
                    yield from self._look(pool)
                yield Wait(self._signal, LOOK_S)
        except LogError as error:
            self._liveness.deaf()
            self.failure = error
        finally:
            reader.close()

    def _begin(self, reader: Reader) -> Stepper:
        """From the end of the topic on; asked again while no broker answers."""
        admin = self._log.admin()
        while not self._stopping:
            try:
                reader.assign({(self._topic, 0): admin.bounds(self._topic, [0])[0].end})
                return
            except LogError as error:
                if error.kind == DENIED:
                    raise
            yield Wait(self._signal, LOOK_S)

    def _listen(self, reader: Reader) -> Stepper:
        while not self._stopping:
            consumed = reader.consume(BATCH_MAX, 0.0)
            for error in consumed.errors:
                if error.kind == DENIED:
                    raise error
            now = self._clock.monotonic()
            for record in consumed.records:
                try:
                    self._liveness.hear(decode(record.value() or b"", Heartbeat), now)
                except RecordUndecodable:
                    continue  # of another version: what it owns is not known, nor is it missed
            if not consumed.records:
                self._liveness.listened(now)
                return
            yield None

    def _look(self, pool: Pool) -> Stepper:
        now = self._clock.monotonic()
        claims = claims_of(self._liveness.beats or (), pool.agent.name)
        wrong = pool.foreign(), orphans_of(claims, pool.partitions)
        since, before = self._wrong.get(pool, (now, NOTHING))
        if wrong != before or wrong == NOTHING:
            self._wrong[pool] = (now, wrong)
        elif now - since >= WRONG_S and not self._stopping:
            yield from self._mend(pool, claims, *wrong)

    def _mend(
        self, pool: Pool, claims: Claims, foreign: frozenset[int], orphans: frozenset[int]
    ) -> Stepper:
        if not foreign and not is_least_laden(claims, self._worker_id):
            return
        self._wrong.pop(pool)
        if foreign:
            log.warning("%s: others claimed %s: anew", pool.identity.topic, sorted(foreign))
        elif (yield from self._rid_of_ghosts(pool, claims, orphans)):
            return
        else:
            log.warning("nobody owns %s of %s: anew", sorted(orphans), pool.identity.topic)
        pool.rejoin()

    def _rid_of_ghosts(
        self, pool: Pool, claims: Claims, orphans: frozenset[int]
    ) -> Generator[Wait | None, None, bool]:
        """Whether there were members without a worker: to join anew would have to wait for them."""
        identity = pool.identity
        try:
            ghosts = ghosts_of(self._log, identity, claims, orphans)
            for slot in ghosts:
                yield from displace(self._log, identity, slot, self._clock)
        except LogError as error:
            log.info("looking for members of %s without a worker: %s", identity.group, error)
            return False
        return bool(ghosts)


def claims_of(beats: Iterable[Heartbeat], agent: str) -> dict[str, set[int]]:
    """What each worker that serves the agent has; a partition stopped by an error is had too."""
    return {
        beat.worker_id: {*pool.partitions, *pool.paused}
        for beat in beats
        for pool in beat.pools
        if pool.agent == agent
    }


def orphans_of(claims: Claims, partitions: int) -> frozenset[int]:
    """Partitions without an owner; none where no worker is heard of."""
    if not claims:
        return frozenset()
    return frozenset(range(partitions)).difference(*claims.values())


def is_least_laden(claims: Claims, worker_id: str) -> bool:
    """Whether this worker has least, the first by id among equals: one acts, at the least cost."""
    return worker_id == min(claims, key=lambda worker: (len(claims[worker]), worker))
