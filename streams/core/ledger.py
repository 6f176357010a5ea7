"""The ledger of one pool: what it possesses, what is finished, what goes into a transaction.

Ownership is a value: the thread at the consumer publishes one immutable snapshot of
{partition → epoch} with the group membership of the same moment. A transaction uses a
snapshot only for outboxes whose partition is in it *with the same epoch*: a broker checks
that a committer is a member, not that it owns the partition, so a worker that lost a
partition and rejoined could otherwise overwrite the live owner's offset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from streams.core.lanes import Lanes
from streams.core.offsets import CompletionMap, Progress
from streams.core.outbox import Outbox
from streams.ports import Committed, Membership

NOT_A_MEMBER = Membership(None, -1, "")


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a worker owned at one moment, with the membership of that moment."""

    partitions: Mapping[int, int] = field(default_factory=dict[int, int])
    membership: Membership = NOT_A_MEMBER


@dataclass(slots=True, eq=False)
class Possession:
    """One uninterrupted possession of a partition; once ended it never comes back."""

    partition: int
    epoch: int
    progress: Progress
    deaths: int = 0
    suspects_below: int = 0
    running: tuple[int, int] | None = None
    """In quarantine: what runs alone and its count, to be committed first; see CompletionMap."""
    singly_below: int = 0
    """In quarantine: suspects below run one at a time, since the last owner died running them."""
    first: int | None = None
    """In quarantine: the offset that ran alone when the last owner died. No other suspect starts
    before it: there is one count, and whoever took it over would save this one for ever."""
    sought: bool = False
    """Its offset was set by hand, and no task was answered since."""
    lanes: Lanes = field(default_factory=Lanes)
    box: list[Outbox] = field(default_factory=list[Outbox])
    """Finished, not committed; in the order in which they finished."""
    committed: int = 0
    """The offset that is committed."""
    claimed: bool = False
    """Its claim is committed, so tasks may start."""
    releasing: bool = False
    """No task starts any more; the next commit carries the release mark."""
    released: bool = False
    """The release mark is committed."""
    marked: tuple[int, int] | None = None
    """The value of ``running`` that is committed."""
    ended: bool = False
    foreign: bool = False
    """Somebody else claimed it; the group will take it from us, until then nothing is sent."""

    @property
    def trails(self) -> bool:
        """Whether only its end moved on: nothing is open, and the committed offset is below it."""
        return not self.progress.incomplete and self.progress.next > self.committed


@dataclass(slots=True)
class Plan:
    """The content of one transaction."""

    membership: Membership
    outboxes: list[Outbox]
    finished: dict[Possession, set[int]]
    """Every partition whose offset is sent, with the offsets this transaction finishes."""
    offsets: dict[int, Committed]
    releases: set[Possession]
    marks: dict[Possession, tuple[int, int] | None]
    sought: set[Possession]
    """Whose offset was set by hand, and still no task is answered."""


class Ledger:
    """All possessions of one pool. Not thread-safe: its user holds one lock around each call."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.possessions: dict[int, Possession] = {}
        self._epochs: dict[int, int] = {}
        self._served = -1
        """The last partition of which the newest settled transaction took outboxes."""

    def gain(self, partition: int, start: CompletionMap) -> Possession:
        """A new possession, from what its predecessor left (``start`` as ``inherit`` made it)."""
        assert partition not in self.possessions, f"partition {partition} is possessed already"
        # Above every epoch anyone committed and above our own: an epoch that was never
        # claimed must not come back for a later possession.
        epoch = max(start.epoch, self._epochs.get(partition, 0)) + 1
        self._epochs[partition] = epoch
        possession = Possession(
            partition, epoch, Progress(start), start.deaths, start.suspects_below, start.running
        )
        possession.sought = start.sought
        if start.running is not None and start.deaths > DEATHS_MAX:
            ran, count = start.running
            possession.singly_below = ran + 1
            if count and ran < start.suspects_below and ran in start.incomplete:
                possession.first = ran
        possession.committed = start.offset
        self.possessions[partition] = possession
        return possession

    def end(self, partitions: Iterable[int]) -> list[Possession]:
        """These possessions are over; what they finished and did not commit is dropped."""
        ended: list[Possession] = []
        for partition in partitions:
            possession = self.possessions.pop(partition, None)
            if possession is not None:
                possession.ended = True
                possession.box.clear()
                ended.append(possession)
        return ended

    def reached(self, partition: int, end: int) -> None:
        """The partition was read to its end, after all records below it were noted."""
        possession = self.possessions.get(partition)
        if possession is not None:
            possession.progress.ended(end)

    def finish(self, outbox: Outbox) -> bool:
        """A task ended; False if its possession is over and the outbox was dropped."""
        possession = self.possessions.get(outbox.partition)
        if possession is None or possession.epoch != outbox.epoch:
            return False
        possession.box.append(outbox)
        return True

    @property
    def pending(self) -> bool:
        """Whether anything waits for a transaction."""
        return any((p.box or _urgent(p)) and not p.foreign for p in self.possessions.values())

    @property
    def trailing(self) -> bool:
        """Whether a partition without any task is committed below its end; nobody waits for it."""
        return any(p.trails and not p.foreign for p in self.possessions.values())

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for the next transaction: a claim, a release, a quarantine."""
        return any(_urgent(p) and not p.foreign for p in self.possessions.values())

    @property
    def held(self) -> int:
        """Records fetched and not committed, of all partitions that are not foreign."""
        return sum(
            len(p.progress.incomplete) - p.progress.unfetched
            for p in self.possessions.values()
            if not p.foreign
        )

    def plan(self, ownership: Ownership, outboxes_max: int) -> Plan | None:
        """What can be committed under this snapshot; None if nothing."""
        if not ownership.membership.valid:
            return None
        plan = Plan(ownership.membership, [], {}, {}, set(), {}, set())
        for possession in self._in_turn():
            partition = possession.partition
            if possession.foreign or ownership.partitions.get(partition) != possession.epoch:
                continue
            ready = possession.box
            limit = possession.progress.limit
            if limit is not None:
                ready = [outbox for outbox in ready if outbox.offset < limit]
            box = list(islice(ready, outboxes_max - len(plan.outboxes)))
            if not box and not _urgent(possession) and not possession.trails:
                continue
            plan.outboxes += box
            finished = {outbox.offset for outbox in box}
            plan.finished[possession] = finished
            # What is finished goes before the mark: after it the partition is given up.
            releases = possession.releasing and len(box) == len(ready)
            if releases:
                plan.releases.add(possession)
            plan.marks[possession] = possession.running
            sought = possession.sought and not any(outbox.answers for outbox in box)
            if sought:
                plan.sought.add(possession)
            committed = self._commit_of(possession, finished, releases=releases, sought=sought)
            plan.offsets[partition] = committed
        return plan if plan.finished else None

    def _in_turn(self) -> list[Possession]:
        """The releasing first, since the whole group waits; then from where the last one ended.

        In a fixed order the first partitions would fill every transaction of a busy pool.
        """
        return sorted(
            self.possessions.values(),
            key=lambda p: (not p.releasing, p.partition <= self._served, p.partition),
        )

    def _commit_of(
        self, possession: Possession, finished: set[int], *, releases: bool, sought: bool
    ) -> Committed:
        running = None if _ran(possession.running, finished) else possession.running
        reach = 0 if running is None else running[0] + 1
        offset, high, incomplete = possession.progress.after(finished, reach)
        # Nothing suspicious is left: the next death starts a new count.
        deaths = possession.deaths if offset < possession.suspects_below else 0
        text = CompletionMap(
            offset,
            high,
            incomplete,
            self.owner,
            possession.epoch,
            releases,
            deaths,
            possession.suspects_below if deaths else 0,
            running,
            sought,
        ).encode()
        return Committed(offset, text)

    def settle(self, plan: Plan) -> None:
        """The plan's transaction is committed."""
        # Only now: one that failed goes again with the same at its head, so that halving it
        # comes to the one that is to blame.
        if plan.outboxes:
            self._served = plan.outboxes[-1].partition
        for possession, finished in plan.finished.items():
            possession.progress.settle(finished)
            possession.committed = plan.offsets[possession.partition].offset
            possession.claimed = True
            possession.sought = possession in plan.sought
            possession.released = possession in plan.releases
            possession.marked = plan.marks[possession]
            if _ran(possession.running, finished):
                possession.running = possession.marked = None
            if possession.progress.base >= possession.suspects_below:
                possession.deaths = 0
            if finished:
                possession.box = [o for o in possession.box if o.offset not in finished]

    def reconcile(self, committed: Mapping[int, CompletionMap | None]) -> None:
        """After an unknown outcome: take over what *is* committed.

        Metadata with a higher epoch or another owner: somebody else has claimed the partition.
        With a lower epoch: our own claim was not applied, and is sent again.
        """
        for partition, state in committed.items():
            possession = self.possessions.get(partition)
            if possession is None or state is None:
                continue
            if state.epoch > possession.epoch or (
                state.epoch == possession.epoch and state.owner != self.owner
            ):
                _disown(possession)
                continue
            if state.epoch < possession.epoch:
                continue
            done = {o for o in possession.progress.incomplete if state.is_finished(o)}
            possession.claimed = True
            possession.sought = state.sought
            possession.committed = state.offset
            possession.progress.settle(done)
            possession.box = [o for o in possession.box if o.offset not in done]
            possession.released = state.released
            possession.marked = state.running
            if _ran(possession.running, done):
                possession.running = None

    def disown(self, partition: int) -> bool:
        """Send nothing more for this partition: what is committed there is not ours."""
        possession = self.possessions.get(partition)
        if possession is not None:
            _disown(possession)
        return possession is not None

    def replace(self, old: Outbox, new: Outbox) -> None:
        """Put another outcome in the place of a refused one."""
        possession = self.possessions.get(old.partition)
        if possession is not None and possession.epoch == old.epoch:
            possession.box = [new if o is old else o for o in possession.box]

    def release(self, partitions: Collection[int]) -> list[Possession]:
        """Ask for the release mark of these partitions."""
        releasing = [self.possessions[p] for p in partitions if p in self.possessions]
        for possession in releasing:
            possession.releasing = True
        return releasing


def _disown(possession: Possession) -> None:
    possession.foreign = True
    possession.box.clear()


def _ran(running: tuple[int, int] | None, finished: Collection[int]) -> bool:
    """Whether what runs alone is finished; of a group only who runs it can tell."""
    return running is not None and running[1] > 0 and running[0] in finished


def _urgent(possession: Possession) -> bool:
    return (
        not possession.claimed
        or (possession.releasing and (bool(possession.box) or not possession.released))
        or possession.running != possession.marked
    )


TAIL_MAX = 1_500
"""Unlisted offsets above ``high`` that a dead owner may have started: its bound of incompletes."""
DEATHS_MAX = 2
"""Owners may die this often in a row before what they left is suspected."""


def inherit(left: CompletionMap, end: int) -> CompletionMap:
    """What a new owner makes of its predecessor's map; ``end`` is the partition's end now.

    Without the release mark the owner died. Which offsets it had started is not recorded, but
    they are among those incomplete now and existing now. An offset that is incomplete now was
    incomplete at every earlier death, so one bound and one count describe the suspects of all.
    Owners that go on dying all the same may have been killed by one above the bound: it is drawn
    anew from time to time, else such a one would kill each before the suspects are through.
    """
    if left.released or not left.owner:
        return CompletionMap(
            left.offset, left.high, left.incomplete, epoch=left.epoch, sought=left.sought
        )
    deaths, below = left.deaths + 1, left.suspects_below
    if not left.deaths or left.offset >= below:
        deaths, below = 1, 0
    if deaths == 1 or (deaths > DEATHS_MAX + 1 and deaths % (DEATHS_MAX + 1) == 0):
        below = max(below, min(end, left.high + TAIL_MAX))
    return CompletionMap(
        left.offset,
        left.high,
        left.incomplete,
        epoch=left.epoch,
        deaths=deaths,
        suspects_below=below,
        running=left.running,
        sought=left.sought,
    )
