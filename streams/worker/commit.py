"""The committer: the only writer of results, costs, children, dead letters and offsets.

One transaction holds the outboxes of many tasks and the progress of their partitions. It is
short: no handler runs in it and it never waits for one. Written as steps; between two yields
lies one call on the log, so a simulation can put a fault or another worker at any of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

from streams.core.ledger import Plan
from streams.core.offsets import CompletionMap, decode
from streams.core.outbox import Outbox
from streams.core.verdicts import Action, Judgement, judge, naming
from streams.errors import DataLost, LogError, MapUnreadable, PoolStopped, StreamsError
from streams.ports import Clock, Committed, Log, Stepper, TransactionalProducer, Wait
from streams.worker.fences import Fences
from streams.worker.hanging import Latecomers, clear, end_hanging
from streams.worker.shared import Identity, Shared
from streams.worker.witness import ASK_AGAIN_S, Doubt, Witness

log = logging.getLogger("streams.commit")

INTERVAL_MIN_S = 0.02
INTERVAL_MAX_S = 0.5
INTERVAL_BY_COST = 1.5
OUTBOXES_MAX = 2_000
CALL_TIMEOUT_S = 5.0
BACKOFF_S = 0.05
IDLE_S = 0.5
DOUBT_S = 2.5
"""A transaction that took longer may have been ended by a second request of the client, which gives
up a silent connection after three seconds or more; so may one that lost a connection. The first is
perhaps still under way, and would end the next transaction of the same epoch half-way: results
without offsets, or the reverse."""
PATIENCE_S = 1.0
"""How long offsets may be held back after an init, before what holds them is ended."""
TRAIL_S = 1.0
"""How long a partition's end may wait for another commit to take it along."""
ALONE_MAX = 3
"""How often an outbox must fail in a transaction of its own before it is blamed."""


class Committer:
    """Drives the transactions of one pool; ``run`` is its stepper."""

    def __init__(
        self,
        identity: Identity,
        shared: Shared,
        source: Log,
        clock: Clock,
        *,
        refuse: Callable[[Outbox, StreamsError], Outbox | None],
        on_settled: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._shared = shared
        self._log = source
        self._clock = clock
        self._refuse = refuse
        self._on_settled = on_settled
        self._admin = source.admin()
        self._producer = self._new_producer()
        self._next_at = 0.0
        self._outboxes_max = OUTBOXES_MAX
        self._fences = Fences(identity.group, identity.transactional_id, clock)
        self._suspect: tuple[Outbox | None, int] = (None, 0)
        self._late = Latecomers(self._admin, clock, identity.group, identity.topic)
        self._witness = Witness(source, clock, identity.group, identity.topic, identity.results)
        self._stopping = False

    def init(self) -> None:
        """Fence older producers of this slot, before the group is joined; LogError."""
        self._producer.init(30.0)

    def stop(self) -> None:
        """End ``run`` once nothing that can be committed is left."""
        self._stopping = True
        self._shared.committer.set()

    @property
    def _over(self) -> bool:
        """Stopped, and the consumer's thread has given up all there was to commit."""
        return self._stopping and not self._shared.ownership.partitions

    def run(self) -> Stepper:
        """Commit what is finished, until stopped; never raises, a failure stops the pool."""
        shared = self._shared
        try:
            while shared.failure is None:
                now = self._clock.monotonic()
                shared.looked()
                with shared.lock:
                    pending = shared.ledger.pending
                    urgent = pending and shared.ledger.urgent
                    trailing = not pending and shared.ledger.trailing
                if self._late.due:
                    yield from self._look()
                if shared.to_clear:
                    yield from self._clear()
                    continue
                due = urgent or self._stopping or now >= self._next_at
                if (pending and due) or (trailing and now >= self._next_at + TRAIL_S):
                    committed = yield from self._transaction(now)
                    if not committed:
                        if self._over:
                            return
                        yield Wait(shared.committer, BACKOFF_S)
                elif self._stopping:
                    return
                else:
                    yield Wait(shared.committer, self._next_at - now if pending else IDLE_S)
        except StreamsError as error:
            shared.fail(error)
        except Exception as error:
            log.exception("the committer of %s died", self._identity.group)
            shared.fail(StreamsError(f"the committer died: {error!r}", hint="this is a bug"))
        finally:
            self._producer.destroy()

    def _look(self) -> Stepper:
        """No transaction of ours is open now, and nobody else commits what we claimed."""
        with self._shared.lock:
            held = self._shared.ledger.possessions.items()
            ours = [p for p, s in held if s.claimed and not s.foreign]
        offsets = yield from self._late.look(ours)
        if offsets:
            self._shared.to_clear = offsets

    def _clear(self) -> Stepper:
        """End what hangs of this id, with a transaction over the offsets that it holds back."""
        offsets, self._shared.to_clear = self._shared.to_clear, {}
        log.info("%s clears what hangs of itself", self._identity.transactional_id)
        try:
            membership = self._shared.ownership.membership
            clear(self._producer, self._admin, self._identity, offsets, membership)
        except LogError as error:
            log.info("clearing %s: %s", self._identity.group, error)
        yield None
        yield from self._recover()

    def _transaction(self, started: float) -> Generator[Wait | None, None, bool]:
        """One transaction; False if there was nothing to commit or it failed."""
        with self._shared.lock:
            plan = self._shared.ledger.plan(self._shared.ownership, self._outboxes_max)
        if plan is None:
            return False
        producer, done = self._producer, False
        try:
            producer.begin()
            yield None
            produce = producer.produce
            for outbox in plan.outboxes:
                for record in outbox.records:
                    produce(*record)
            yield None
            # Always, even if nothing moves: a transaction without offsets is not fenced by
            # the group at all.
            producer.send_offsets(self._identity.topic, plan.offsets, plan.membership)
            yield None
            producer.commit(CALL_TIMEOUT_S)
        except LogError as error:
            yield None
            self._shared.stats.aborts += 1
            yield from self._failed(plan, error)
        else:
            done = True
            # The answer to a request that was sent again says nothing: a broker that restarted may
            # have forgotten to write what it had decided. What is committed is read instead.
            if not producer.was_cut_off():
                self._settle(plan, started)
            yield None
        slow = self._clock.monotonic() - started > DOUBT_S
        if self._producer is producer and (slow or producer.was_cut_off()):
            log.info("a request of %s may still arrive: new producer", self._identity.group)
            yield from self._recover()
        return done

    def _settle(self, plan: Plan, started: float) -> None:
        shared = self._shared
        with shared.lock:
            shared.ledger.settle(plan)
        now = self._clock.monotonic()
        took = now - started
        shared.stats.commits += 1
        shared.stats.commits_micros.append(round(took * 1e6))
        # A transaction costs the broker more with every partition in it: at most two thirds of
        # the time go into them, so that the cost per task falls under load instead.
        # With more waiting than it could take, there is nothing to wait for.
        full = len(plan.outboxes) >= self._outboxes_max
        pause = 0.0 if full else min(INTERVAL_MAX_S, max(INTERVAL_MIN_S, took * INTERVAL_BY_COST))
        self._next_at = started + pause
        self._outboxes_max = min(OUTBOXES_MAX, self._outboxes_max * 2)
        shared.room.set()
        self._on_settled()

    def _failed(self, plan: Plan, error: LogError) -> Stepper:
        judgement = judge(error, self._producer.refusals(), self._identity.own_topics)
        log.info("transaction of %s: %s: %s", self._identity.group, error, judgement.action.name)
        match judgement.action:
            case Action.RESEND:
                yield from self._abort()
            case Action.REPLACE if len(plan.outboxes) > 1 and judgement.of_a_batch:
                topic = judgement.culprits[0].topic
                log.warning("a batch is larger than max.message.bytes of '%s': in parts", topic)
                self._send_less(plan)
                yield from self._renew()
            case Action.REPLACE:
                self._replace(plan, judgement)
                yield from self._renew()
            case Action.SEARCH:
                yield from self._renew()
                self._search(plan, error)
            case Action.RECOVER:
                self._send_less(plan)
                yield from self._recover()
            case Action.FENCED:
                self._fences.count()
                self._send_less(plan)
                yield from self._recover()
            case Action.STOP:
                raise self._stopped(judgement)

    def _abort(self) -> Stepper:
        self._late.doubt()
        try:
            self._producer.abort(CALL_TIMEOUT_S)
        except LogError as error:
            # An abort that fails leaves the outcome open; only a new producer settles it.
            log.info("abort of %s: %s", self._identity.group, error)
            yield None
            yield from self._recover()

    def _renew(self) -> Stepper:
        """Abort and go on with a new producer.

        After a refused record the old one fails its next good transaction with
        OUT_OF_ORDER_SEQUENCE_NUMBER.
        """
        try:
            self._producer.abort(CALL_TIMEOUT_S)
        except LogError as error:
            log.info("abort of %s: %s", self._identity.group, error)
        yield None
        yield from self._recover()

    def _recover(self) -> Stepper:
        """Destroy the producer, init again, and take over what turns out to be committed."""
        shared = self._shared
        self._late.doubt()
        self._producer.destroy()
        self._producer = self._new_producer()
        ready, hanging, began = False, False, self._clock.monotonic()
        doubt = self._witness.doubt()
        while shared.failure is None and not self._over:
            yield None
            try:
                if not ready:
                    self._producer.init(CALL_TIMEOUT_S)
                    ready = True  # a producer is initialised once; a second time is an error
                    yield None
                with shared.lock:
                    held = shared.ledger.possessions.items()
                    partitions = [p for p, s in held if not s.foreign]
                if hanging:
                    end_hanging(self._producer, self._admin, self._identity, partitions, shared)
                    hanging = False
                committed = self._committed(partitions, doubt)
            except LogError as error:
                if error.kind in ("_FENCED", "PRODUCER_FENCED"):
                    self._fences.count()
                elif judge(error, (), ()).action is Action.STOP:
                    raise PoolStopped(str(error)) from error
                log.info("recovery of %s: %s", self._identity.group, error)
                if error.fatal or hanging:
                    self._producer.destroy()
                    self._producer = self._new_producer()
                    ready = False
                waits = ready and error.kind == "UNSTABLE_OFFSET_COMMIT"
                hanging = waits and self._waited(began, PATIENCE_S)
                stale = error.kind == "STALE_OFFSETS"
                yield Wait(shared.committer, ASK_AGAIN_S if stale else BACKOFF_S)
                continue
            with shared.lock:
                shared.ledger.reconcile(committed)
            self._on_settled()
            return

    def _waited(self, since: float, seconds: float) -> bool:
        return self._clock.monotonic() - since >= seconds

    def _committed(self, partitions: list[int], doubt: Doubt) -> dict[int, CompletionMap | None]:
        if not partitions:
            return {}
        said = self._admin.committed(self._identity.group, self._identity.topic, partitions)
        found, stale = doubt.settle(said)
        maps: dict[int, CompletionMap | None] = {}
        for partition, committed in found.items():
            try:
                if partition in stale:
                    raise self._witness.contradicts(partition, committed)
                maps[partition] = _map_of(committed)
            except (DataLost, MapUnreadable) as error:
                # Not what we left there: whatever we sent would go over it.
                with self._shared.lock:
                    ours = self._shared.ledger.disown(partition)
                if ours:
                    self._shared.stop(partition, error)
        return maps

    def _replace(self, plan: Plan, judgement: Judgement) -> None:
        refused = {(c.topic, c.partition, c.key, c.value): c.error for c in judgement.culprits}
        found = False
        for outbox in plan.outboxes:
            for r in outbox.records:
                error = refused.get((r.topic, r.partition, r.key, r.value))
                if error is not None:
                    self._put_failure(outbox, error)
                    found = True
                    break
        if not found:
            raise self._stopped(judgement)

    def _search(self, plan: Plan, error: LogError) -> None:
        """Nobody is named: blame a record whose topic or partition is gone, else halve."""
        topics = {r.topic for o in plan.outboxes for r in o.records}
        try:
            # All that there are: what is hidden from this user cannot be written either.
            exists = self._admin.topics()
        except LogError as unanswered:
            log.info("searching for a refused record: %s", unanswered)
            return
        missing = topics - exists.keys()
        for name in missing & self._identity.own_topics:
            raise PoolStopped(
                f"topic '{name}' is missing, or the right WRITE on it: no outcome can be written",
                hint="`streams topic apply` creates it",
            )
        culprits = [
            o
            for o in plan.outboxes
            if any(
                r.topic in missing or r.partition >= exists[r.topic].partitions for r in o.records
            )
        ]
        if not culprits and len(plan.outboxes) == 1 and self._failed_alone(plan.outboxes[0]):
            culprits = plan.outboxes
        for outbox in culprits:
            topics = {r.topic for r in outbox.records} - self._identity.own_topics
            self._put_failure(outbox, naming(error, topics & missing or topics))
        if not culprits:
            self._send_less(plan)

    def _send_less(self, plan: Plan) -> None:
        """Half as much at once: what is too much for the time of one transaction stays so."""
        if plan.outboxes:
            self._outboxes_max = max(1, len(plan.outboxes) // 2)

    def _failed_alone(self, outbox: Outbox) -> bool:
        """Whether an outbox failed without company so often that it must be its own fault.

        Once says little: whatever was under way while a broker was away reports the same.
        """
        suspect, times = self._suspect
        self._suspect = (outbox, times + 1 if suspect is outbox else 1)
        return self._suspect[1] >= ALONE_MAX

    def _put_failure(self, outbox: Outbox, error: StreamsError) -> None:
        replacement = self._refuse(outbox, error)
        if replacement is None:
            own = self._identity.own_topics
            why = naming(error, own) if isinstance(error, LogError) else error
            raise PoolStopped(
                f"the report of a refused record was refused too: {why}",
                hint=f"check the right WRITE on {', '.join(sorted(own))}",
            )
        with self._shared.lock:
            self._shared.ledger.replace(outbox, replacement)

    def _stopped(self, judgement: Judgement) -> PoolStopped:
        error = judgement.error
        where = judgement.culprits[0].topic if judgement.culprits else self._identity.group
        return PoolStopped(
            f"'{where}' refuses this pool's records: {error}",
            hint="check that the topic exists and that the worker has the right to write to it",
        )

    def _new_producer(self) -> TransactionalProducer:
        identity = self._identity
        return self._log.transactional_producer(identity.transactional_id, group=identity.group)


def _map_of(committed: Committed | None) -> CompletionMap | None:
    if committed is None or not committed.metadata:
        return None
    return decode(committed.offset, committed.metadata)
