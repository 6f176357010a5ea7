"""The thread at the consumer: the only one that touches it.

It fetches, keeps the group's rebalances, publishes what is owned, and hands each batch to the
event loop with one call. It runs no user code and blocks no longer than a poll.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from streams.core.ledger import Ownership
from streams.core.offsets import FETCH_MAX
from streams.core.verdicts import unreadable
from streams.errors import DataLost, LogError, StreamsError
from streams.ports import Committed, GroupConsumer, Record, Stepper, Wait
from streams.worker.fences import Fences
from streams.worker.restore import Restorer
from streams.worker.room import Room
from streams.worker.schemas import Schemas
from streams.worker.shared import Batch, Identity, LoopSide, Shared, Surroundings

log = logging.getLogger("streams.poll")

POLL_S = 0.05
PUBLISH_S = 0.02
SESSION_S = 6.0
FENCE_S = SESSION_S - 1.5
"""A longer gap between two polls means that the process was stopped: others may own by now."""
STANDING_S = 12.0
"""A member for so long has no request to join under way: the client gives each up after 10 s."""
RELEASE_S = 2.0
"""How long a revocation waits for the committer: everybody else waits with it."""
REST_S = 0.2
LEAVE_S = 5.0
ROOM_S = 0.3
"""How long fetching stops before it is paused; rebalances wait with it."""
ROOM_TICK_S = 0.02


class Poll:
    """Drives the consumer of one pool; ``run`` is its stepper."""

    def __init__(
        self,
        identity: Identity,
        shared: Shared,
        around: Surroundings,
        new_consumer: Callable[[], GroupConsumer],
        loop_side: LoopSide,
        *,
        learn_schemas: Callable[[], None],
        live: Callable[[], frozenset[str] | None],
        held_max: int,
    ) -> None:
        self._identity = identity
        self._shared = shared
        self._new_consumer = new_consumer
        self._loop_side = loop_side
        self._restorer = Restorer(
            identity,
            around.log,
            around.clock,
            self._pause,
            lambda: self._consumer.membership(),
            self._clear_own,
            live,
        )
        self._runner = around.runner
        self._clock = clock = around.clock
        self._schemas = Schemas(
            identity.group, learn_schemas, clock, self._pause, lambda: self._leave is not None
        )
        self._fences = Fences(identity.group, identity.transactional_id, clock)
        self._room = Room(identity.topic, shared, held_max)
        self._consumer = new_consumer()
        self._returned_at = clock.boottime()
        self._published_at = 0.0
        self._settled_at: float | None = None
        self._draining = False
        self._leave: bool | None = None
        self._rejoining = False
        self._member_id, self._expelled = "", False

    def drain(self) -> None:
        """Fetch nothing more, but stay in the group (any thread)."""
        self._draining = True

    def stop(self, *, leave: bool) -> None:
        """Release everything and end ``run`` (any thread).

        With ``leave`` the group is left at once; without, a static member's partitions wait
        for its slot to come back.
        """
        self._draining = True
        self._leave = leave

    def rejoin(self) -> None:
        """Leave the group in order and join it anew, so that it is balanced anew (any thread)."""
        self._rejoining = True

    def run(self) -> Stepper:
        """Consume until stopped; never raises, a failure stops the pool."""
        shared = self._shared
        try:
            self._consumer.subscribe(self)
            self._returned_at = self._clock.boottime()
            while self._leave is None and shared.failure is None:
                yield from self._wait_for_room()
                self._consume(POLL_S)
                self._throttle()
                if self._rejoining and not self._draining:
                    yield from self._rejoin()
                yield None
            yield from self._end()
        except StreamsError as error:
            shared.fail(error)
        except Exception as error:
            log.exception("the consumer of %s died", self._identity.group)
            shared.fail(StreamsError(f"the consumer died: {error!r}", hint="this is a bug"))
        finally:
            self._give_up(list(shared.ledger.possessions))
            shared.ownership = Ownership()
            self._close()

    # -- inside consume() -------------------------------------------------------------

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Restore each partition and possess it; its tasks start when its claim is committed."""
        shared = self._shared
        self._settled_at = self._clock.monotonic()
        # Every generation calls, also when nothing was gained. Before anything that blocks: the
        # commits of what is kept are refused under the generation before.
        self._publish(force=True)
        if not partitions or self._expelled:
            return {}
        with shared.restoring(partitions):
            restored = self._restorer.restore(partitions)
        if self._expelled:
            return {}
        # Waiting for a broker is not being stopped. If we were, the claim would be refused.
        self._returned_at, self._settled_at = self._clock.boottime(), self._clock.monotonic()
        with shared.lock:
            for partition, start in restored.starts.items():
                shared.ledger.gain(partition, start)
        for partition, error in restored.stopped.items():
            shared.stop(partition, error)
        self._publish(force=True)
        shared.committer.set()
        if restored.starts:
            log.info("%s gained %s", self._identity.transactional_id, sorted(restored.starts))
        return {p: restored.offset_of(p) for p in partitions}

    def on_revoke(self, partitions: Sequence[int]) -> None:
        """Commit what is finished with the release mark, give up the rest at once."""
        if not partitions:
            return
        self._publish(force=True)
        self._release(partitions, RELEASE_S)
        self._give_up(partitions)
        self._publish(force=True)

    def on_lost(self, partitions: Sequence[int]) -> None:
        """Others own these by now: drop everything."""
        self._settled_at = None
        self._give_up(partitions)
        self._publish(force=True)

    # -- steps ------------------------------------------------------------------------

    def _consume(self, timeout_s: float) -> None:
        self._guard_time()
        consumed = self._consumer.consume(FETCH_MAX, timeout_s)
        self._guard_time()
        self._publish()
        if self._expelled:
            self._renew()
            return
        if any(error.kind in ("_FATAL", "FENCED_INSTANCE_ID") for error in consumed.errors):
            # The client keeps the identity of a membership that it has lost, to join again with it.
            self._fenced()
            return
        for error in consumed.errors:
            self._judge(error)
        if consumed.records:
            self._hand_over(consumed.records)
        if consumed.ended:
            shared = self._shared
            with shared.lock:
                for (_, partition), offset in consumed.ended.items():
                    if partition not in shared.stopped:
                        shared.ledger.reached(partition, offset)

    def _wait_for_room(self) -> Stepper:
        """Fetch nothing while too much is open: tasks that end soon make room again.

        Only if they do not is fetching paused, which costs a fetch anew afterwards.
        """
        waited_until = self._clock.monotonic() + ROOM_S
        while self._room.is_crowded() and self._clock.monotonic() < waited_until:
            if self._draining or self._shared.failure is not None:
                return
            yield Wait(self._shared.room, ROOM_TICK_S)
            self._guard_time()
            self._publish()

    def _hand_over(self, records: Sequence[Record]) -> None:
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            partition = record.partition()
            if partition in by_partition:
                by_partition[partition].append(record)
            else:
                by_partition[partition] = [record]
        if self._schemas.know(records):
            # Reading schemas takes as long as it takes; it is not being stopped.
            self._returned_at = self._clock.boottime()
        batch: Batch = []
        shared = self._shared
        with shared.lock:
            for partition, delivered in by_partition.items():
                possession = shared.ledger.possessions.get(partition)
                if possession is None or partition in shared.stopped:
                    continue
                fetched = possession.progress.fetched
                wanted = [record for record in delivered if fetched(record.offset())]
                if wanted:
                    batch.append((possession, wanted))
        if batch:
            self._room.weigh(records)
            self._loop_side.deliver(batch)

    def _throttle(self) -> None:
        shared = self._shared
        wanted = self._room.to_pause(draining=self._draining)
        if wanted != shared.paused:
            with shared.lock:
                possessed = set(shared.ledger.possessions)
            self._consumer.pause(wanted - shared.paused)
            self._consumer.resume((shared.paused - wanted) & possessed)
            shared.paused = wanted

    def _publish(self, *, force: bool = False) -> None:
        now = self._clock.monotonic()
        if not force and now - self._published_at < PUBLISH_S:
            return
        self._published_at = now
        membership = self._consumer.membership()
        shared = self._shared
        if membership.valid and membership.member_id != self._member_id:
            self._meet_anew(membership.member_id)
        with shared.lock:
            owned = {p: s.epoch for p, s in shared.ledger.possessions.items()}
        shared.ownership = Ownership(owned, membership)

    def _meet_anew(self, member_id: str) -> None:
        """With another member id we were out in between, though the client may not say so.

        If it was expelled while it joined, it joins anew and keeps what it had. With its new
        membership the group would let us commit what is others' now.
        """
        held = list(self._shared.ledger.possessions)
        self._expelled |= bool(self._member_id and held)
        if self._expelled:
            log.warning("%s was expelled: it joins anew", self._identity.transactional_id)
            self._give_up(held)
        self._member_id = member_id

    def _guard_time(self) -> None:
        now = self._clock.boottime()
        gap, self._returned_at = now - self._returned_at, now
        if gap > FENCE_S:
            log.warning(
                "%s was stopped for %.1f s: its partitions are given up and joined anew",
                self._identity.transactional_id,
                gap,
            )
            self._renew()

    def _renew(self) -> None:
        """Fence ourselves: end all epochs, then join as a new consumer."""
        self._give_up(list(self._shared.ledger.possessions))
        self._shared.ownership = Ownership()
        self._shared.renewed += 1
        self._close()
        self._consumer = self._new_consumer()
        self._member_id, self._expelled, self._settled_at = "", False, None
        self._shared.paused = frozenset()
        self._shared.forget(self._shared.stopped.keys())
        self._consumer.subscribe(self)
        self._returned_at = self._clock.boottime()

    def _fenced(self) -> None:
        """The broker gave the slot's membership to a later request to join.

        That is another process, except soon after a join: a broker that was stopped carries out the
        requests that we gave up and repeated.
        """
        since = self._settled_at
        if since is not None and self._clock.monotonic() - since >= STANDING_S:
            raise self._fences.slot_in_use()
        self._fences.count()
        log.info("%s was fenced while it joined: anew", self._identity.transactional_id)
        self._renew()

    def _judge(self, error: LogError) -> None:
        why = unreadable(error, self._identity.topic)
        if why is None:
            log.info("consumer of %s: %s", self._identity.group, error)
        elif error.partition is not None and isinstance(why, DataLost):
            self._shared.stop(error.partition, why)
        else:
            raise why

    def _release(self, partitions: Sequence[int], timeout_s: float) -> None:
        shared = self._shared
        with shared.lock:
            releasing = shared.ledger.release(partitions)
        shared.committer.set()
        released = self._runner.wait_until(
            lambda: shared.failure is not None or all(p.released or p.foreign for p in releasing),
            timeout_s,
            self._tick,
        )
        if released:
            # What ended while the mark was committed: one more transaction, or it runs again.
            # Not what ends from now on: while handlers run there is always something.
            with shared.lock:
                rest = {outbox for p in releasing if not p.foreign for outbox in p.box}
            self._runner.wait_until(
                lambda: (
                    shared.failure is not None or all(rest.isdisjoint(p.box) for p in releasing)
                ),
                REST_S,
                self._tick,
            )

    def _give_up(self, partitions: Sequence[int]) -> None:
        shared = self._shared
        with shared.lock:
            ended = shared.ledger.end(partitions)
        shared.paused = shared.paused - set(partitions)
        shared.forget(partitions)
        if ended:
            log.info(
                "%s gave up %s",
                self._identity.transactional_id,
                sorted(p.partition for p in ended),
            )
            self._loop_side.ended(ended)

    def _end(self) -> Stepper:
        """Release all while still polling, then leave."""
        yield from self._release_all()
        if self._leave is not False:
            self._consumer.unsubscribe()

    def _rejoin(self) -> Stepper:
        self._rejoining = False
        yield from self._release_all()
        self._consumer.unsubscribe()
        self._renew()

    def _release_all(self) -> Stepper:
        """Commit what is finished with the release mark, while still polling."""
        shared = self._shared
        if shared.failure is not None:
            return
        with shared.lock:
            releasing = shared.ledger.release(list(shared.ledger.possessions))
        shared.committer.set()
        deadline = self._clock.monotonic() + LEAVE_S
        while (
            not all(p.released or p.ended or p.foreign for p in releasing)
            and self._clock.monotonic() < deadline
            and shared.failure is None
        ):
            self._consume(POLL_S)
            self._throttle()
            yield None

    def _close(self) -> None:
        try:
            self._consumer.close()
        except LogError as error:
            log.info("closing the consumer of %s: %s", self._identity.group, error)

    def _clear_own(self, offsets: Mapping[int, Committed]) -> None:
        self._shared.to_clear = offsets
        self._shared.committer.set()

    def _pause(self, seconds: float) -> None:
        self._runner.wait_until(lambda: False, seconds, self._tick)

    def _tick(self) -> None:
        """While a callback waits: commits need the current generation, and we are alive."""
        self._returned_at = self._clock.boottime()
        self._publish(force=True)
