"""The ledger against a model of a broker: who owns what, what is committed, what goes in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.core.ledger import Ledger, Ownership, Possession, inherit
from streams.core.offsets import INCOMPLETE_MAX, CompletionMap, decode
from streams.core.outbox import Outbox
from streams.ports import Committed, Membership

PARTITIONS = (0, 1, 2)
MEMBER = Membership("token", 1, "member")


class Model(RuleBasedStateMachine):
    """One worker, a rival that may claim in between, and a broker that keeps offsets.

    The broker holds what is committed; the ledger must never commit less than it, never commit
    the end of a task twice, and never use an outbox of a possession that is over.
    """

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger("me")
        self.broker: dict[int, Committed | None] = dict.fromkeys(PARTITIONS)
        self.ends = dict.fromkeys(PARTITIONS, 0)
        self.done: dict[int, set[int]] = {p: set() for p in PARTITIONS}
        self.markers: dict[int, set[int]] = {p: set() for p in PARTITIONS}
        self.epochs: dict[int, list[int]] = {p: [0] for p in PARTITIONS}
        self.published = Ownership()
        self.ended: list[Possession] = []
        self.given: dict[tuple[int, int], set[int]] = {}
        """Offsets finished per (partition, epoch): a task ends once in a possession."""

    def _left(self, partition: int) -> CompletionMap:
        found = self.broker[partition]
        return CompletionMap(0, 0) if found is None else decode(found.offset, found.metadata)

    @rule(partition=st.sampled_from(PARTITIONS))
    def gain(self, partition: int) -> None:
        if partition in self.ledger.possessions:
            return
        left = self._left(partition)
        gained = self.ledger.gain(partition, inherit(left, self.ends[partition]))
        assert gained.epoch > max(self.epochs[partition]), "an epoch came back"
        self.epochs[partition].append(gained.epoch)
        self.given[partition, gained.epoch] = set()
        for offset in self._records(partition, gained.progress.base):
            assert gained.progress.fetched(offset) == (offset not in self.done[partition])

    def _records(self, partition: int, start: int = 0) -> list[int]:
        return [o for o in range(start, self.ends[partition]) if o not in self.markers[partition]]

    @rule(partition=st.sampled_from(PARTITIONS), told=st.booleans())
    def end_a_transaction(self, partition: int, told: bool) -> None:
        """A marker takes an offset; whoever reads to the end is told where that is."""
        self.markers[partition].add(self.ends[partition])
        self.ends[partition] += 1
        if told:
            self.ledger.reached(partition, self.ends[partition])

    @rule(partitions=st.sets(st.sampled_from(PARTITIONS), min_size=1))
    def end(self, partitions: set[int]) -> None:
        self.ended += self.ledger.end(partitions)

    @rule()
    def publish(self) -> None:
        owned = {p: s.epoch for p, s in self.ledger.possessions.items()}
        self.published = Ownership(owned, MEMBER)

    @rule(partition=st.sampled_from(PARTITIONS), count=st.integers(1, 8))
    def append(self, partition: int, count: int) -> None:
        possession = self.ledger.possessions.get(partition)
        for offset in range(self.ends[partition], self.ends[partition] + count):
            if possession is not None:
                assert possession.progress.fetched(offset)
        self.ends[partition] += count

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        everyone = [*self.ledger.possessions.values(), *self.ended]
        choices = [
            (p, offset)
            for p in everyone
            for offset in p.progress.incomplete
            if offset not in self.given[p.partition, p.epoch]
        ]
        if not choices:
            return
        possession, offset = data.draw(st.sampled_from(choices))
        self.given[possession.partition, possession.epoch].add(offset)
        outbox = Outbox(possession.partition, possession.epoch, offset, (), None)
        assert self.ledger.finish(outbox) != possession.ended

    @rule(partition=st.sampled_from(PARTITIONS), times=st.integers(1, 3), data=st.data())
    def quarantine(self, partition: int, times: int, data: st.DataObject) -> None:
        possession = self.ledger.possessions.get(partition)
        if possession is None or not possession.progress.incomplete:
            return
        offset = data.draw(st.sampled_from(sorted(possession.progress.incomplete)))
        if offset not in self.given[partition, possession.epoch]:
            possession.running = (offset, times)

    @rule(partitions=st.sets(st.sampled_from(PARTITIONS)))
    def release(self, partitions: set[int]) -> None:
        self.ledger.release(partitions)

    @rule(
        outcome=st.sampled_from(["committed", "committed", "aborted", "lost reply", "not applied"]),
        most=st.integers(1, 5),
        meanwhile=st.sampled_from(["nothing", "finish", "end"]),
        data=st.data(),
    )
    def transact(self, outcome: str, most: int, meanwhile: str, data: st.DataObject) -> None:
        pending = self.ledger.pending or self.ledger.trailing
        plan = self.ledger.plan(self.published, most)
        if plan is None:
            current = {p: s.epoch for p, s in self.ledger.possessions.items()}
            assert not pending or self.published.partitions != current
            return
        assert pending
        for outbox in plan.outboxes:
            possession = self.ledger.possessions[outbox.partition]
            assert outbox.epoch == possession.epoch == self.published.partitions[outbox.partition]
            assert outbox.offset not in self.done[outbox.partition], "a second result"
        for possession in plan.releases:
            assert set(possession.box) <= set(plan.outboxes), "released before all went in"
        assert len(plan.outboxes) <= most
        assert set(plan.offsets) == {p.partition for p in plan.finished}
        if meanwhile == "finish":
            self.finish(data)
        if outcome in ("committed", "lost reply"):
            self._apply(plan)
        if meanwhile == "end":
            self.end(set(plan.offsets))
        if outcome == "committed":
            self.ledger.settle(plan)
        elif outcome in ("lost reply", "not applied"):
            self.ledger.reconcile(
                {p: decode(c.offset, c.metadata) if c else None for p, c in self.broker.items()}
            )
            assert not any(p.foreign for p in self.ledger.possessions.values())

    def _apply(self, plan) -> None:
        for partition, committed in plan.offsets.items():
            state = decode(committed.offset, committed.metadata)
            before = self._left(partition)
            assert committed.offset >= before.offset
            assert (state.owner, state.epoch) == ("me", self.published.partitions[partition])
            self.broker[partition] = committed
            self.done[partition] |= {o.offset for o in plan.outboxes if o.partition == partition}

    @rule(partition=st.sampled_from(PARTITIONS))
    def rival_claims(self, partition: int) -> None:
        """Another worker takes the partition and commits its claim; then we learn of it."""
        left = self._left(partition)
        claim = CompletionMap(
            left.offset, left.high, left.incomplete, "rival", max(self.epochs[partition]) + 1
        )
        self.epochs[partition].append(claim.epoch)
        self.broker[partition] = Committed(claim.offset, claim.encode())
        self.publish()
        self.ledger.reconcile({partition: claim})
        plan = self.ledger.plan(self.published, 100)
        assert plan is None or partition not in plan.offsets, "over the rival's offset"
        assert (plan is not None) == (self.ledger.pending or self.ledger.trailing)
        self.end({partition})

    @invariant()
    def the_broker_knows_exactly_what_is_done(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for partition in PARTITIONS:
            left = self._left(partition)
            for offset in self._records(partition):
                assert left.is_finished(offset) == (offset in self.done[partition])

    @invariant()
    def what_is_done_waits_for_no_transaction(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for partition, possession in self.ledger.possessions.items():
            waiting = {outbox.offset for outbox in possession.box}
            assert len(waiting) == len(possession.box)
            assert not waiting & self.done[partition] or self._uncertain(possession)

    def _uncertain(self, possession: Possession) -> bool:
        """A commit whose outcome the ledger was not told yet."""
        return bool(set(possession.progress.incomplete) & self.done[possession.partition])

    @precondition(lambda self: hasattr(self, "ledger"))
    @rule()
    def everything_can_be_committed(self) -> None:
        """With fresh ownership whatever is pending goes in, a batch at a time."""
        self.publish()
        for _ in range(200):
            plan = self.ledger.plan(self.published, 2)
            if plan is None:
                break
            self._apply(plan)
            self.ledger.settle(plan)
        assert not self.ledger.pending
        assert not self.ledger.trailing
        for partition, possession in self.ledger.possessions.items():
            assert possession.committed == self._left(partition).offset
            assert possession.claimed
            assert possession.released == possession.releasing
            assert not possession.box
            assert self._left(partition).released == possession.releasing


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=50, deadline=None)


def owned(ledger: Ledger) -> Ownership:
    return Ownership({p: s.epoch for p, s in ledger.possessions.items()}, MEMBER)


def settled(ledger: Ledger, most: int = 2_000) -> dict[int, CompletionMap]:
    """Commit what there is; the maps as a reader sees them."""
    plan = ledger.plan(owned(ledger), most)
    assert plan is not None
    ledger.settle(plan)
    return {p: decode(c.offset, c.metadata) for p, c in plan.offsets.items()}


def outbox(possession: Possession, offset: int) -> Outbox:
    return Outbox(possession.partition, possession.epoch, offset, (), None)


def test_a_claim_changes_nothing_but_owner_and_epoch() -> None:
    ledger = Ledger("me")
    left = CompletionMap(5, 9, (5, 7), "other", 3, released=True)
    ledger.gain(0, inherit(left, 20))
    assert settled(ledger) == {0: CompletionMap(5, 9, (5, 7), "me", 4)}


def test_no_membership_no_plan() -> None:
    ledger = Ledger("me")
    ledger.gain(0, CompletionMap(0, 0))
    for membership in (
        Membership(None, -1, ""),
        Membership(None, 3, ""),
        Membership(None, -1, "m"),
    ):
        assert ledger.plan(Ownership({0: 1}, membership), 10) is None


def test_a_release_waits_for_everything_finished() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 0))
    for offset in range(3):
        possession.progress.fetched(offset)
        ledger.finish(outbox(possession, offset))
    ledger.release([0])
    assert not settled(ledger, 2)[0].released
    assert not possession.released
    assert settled(ledger, 2)[0] == CompletionMap(3, 3, (), "me", 1, released=True)
    assert possession.released


def test_outboxes_beyond_the_bounds_of_the_map_wait() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 0))
    for offset in range(INCOMPLETE_MAX + 400):
        possession.progress.fetched(offset)
    ledger.finish(outbox(possession, INCOMPLETE_MAX + 399))
    ledger.finish(outbox(possession, INCOMPLETE_MAX - 1))
    assert len(settled(ledger)[0].incomplete) == INCOMPLETE_MAX - 1
    assert [o.offset for o in possession.box] == [INCOMPLETE_MAX + 399]
    for offset in range(400):
        ledger.finish(outbox(possession, offset))
    settled(ledger)
    assert settled(ledger)[0].high == INCOMPLETE_MAX + 400
    assert not ledger.pending


def test_reconciling_forgets_a_quarantined_task_that_turns_out_committed() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 0))
    possession.progress.fetched(0)
    possession.running = (0, 1)
    settled(ledger)
    ledger.finish(outbox(possession, 0))
    plan = ledger.plan(owned(ledger), 10)
    assert plan is not None
    committed = plan.offsets[0]
    ledger.reconcile({0: decode(committed.offset, committed.metadata)})
    assert possession.running is None
    assert not ledger.pending


def test_held_counts_what_was_delivered() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 6, (0, 2, 4)))
    assert ledger.held == 0
    for offset in range(8):
        possession.progress.fetched(offset)
    assert ledger.held == 5


def test_an_end_behind_markers_is_committed_once_and_never_before_what_is_open() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 0))
    settled(ledger)
    possession.progress.fetched(0)
    ledger.reached(0, 4)
    assert not ledger.trailing, "offset 0 is open: its own commit takes the end along"
    ledger.finish(outbox(possession, 0))
    assert settled(ledger)[0] == CompletionMap(4, 4, (), "me", 1)
    assert not ledger.trailing
    ledger.reached(0, 7)
    assert ledger.trailing
    assert not ledger.pending, "nobody waits for it"
    assert settled(ledger)[0].offset == 7
    assert not ledger.trailing
    ledger.reached(0, 7)
    assert ledger.plan(owned(ledger), 10) is None


@given(
    partitions=st.integers(1, 8),
    most=st.integers(1, 30),
    each=st.integers(1, 12),
    releasing=st.integers(0, 7),
)
def test_each_partition_gets_its_turn_and_a_releasing_one_its_mark(
    partitions: int, most: int, each: int, releasing: int
) -> None:
    """However much is ready everywhere, all the time."""
    ledger = Ledger("me")
    possessions = [ledger.gain(p, CompletionMap(0, 0)) for p in range(partitions)]
    settled(ledger)

    def refill(possession: Possession) -> None:
        while len(possession.box) < each:
            offset = possession.progress.next
            possession.progress.fetched(offset)
            ledger.finish(outbox(possession, offset))

    for _ in range(3):
        served: set[int] = set()
        for _ in range(partitions):
            for possession in possessions:
                refill(possession)
            plan = ledger.plan(owned(ledger), most)
            assert plan is not None
            assert len(plan.outboxes) == min(most, each * partitions)
            served |= {o.partition for o in plan.outboxes}
            ledger.settle(plan)
        assert served == set(range(partitions))

    leaving = possessions[releasing % partitions]
    for possession in possessions:
        refill(possession)
    ledger.release([leaving.partition])
    for _ in range(-(-each // most)):
        for possession in possessions:
            if possession is not leaving:
                refill(possession)
        settled(ledger, most)
    assert leaving.released
    assert not leaving.box


def test_what_failed_stays_at_the_head_until_it_is_committed() -> None:
    ledger = Ledger("me")
    for partition in range(2):
        possession = ledger.gain(partition, CompletionMap(0, 0))
        possession.progress.fetched(0)
        ledger.finish(outbox(possession, 0))
    firsts = []
    for most in (2, 1, 1):
        plan = ledger.plan(owned(ledger), most)
        assert plan is not None
        firsts.append(plan.outboxes[0])
    assert len(set(firsts)) == 1
