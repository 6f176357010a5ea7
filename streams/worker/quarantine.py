"""Quarantine: tasks that may have killed their worker are on record before they start.

What runs is written into the partition's map first, so that after another death it is known. Some
suspects run together, which costs one transaction and not one each; if the worker dies in that,
they run one at a time, and the one that dies alone is counted.
"""

from __future__ import annotations

from itertools import islice

from streams.core.lanes import Gate, Group
from streams.core.ledger import DEATHS_MAX, Possession
from streams.worker.shared import Shared
from streams.worker.work import Work

GROUP_MAX = 32
"""How many suspects of one partition run together."""


class Quarantine:
    """The marks of one pool's suspects. Called on the event loop."""

    def __init__(self, shared: Shared, gate: Gate, attempts: int) -> None:
        self._shared = shared
        self._gate = gate
        self._attempts = attempts
        self._loose: dict[Possession, tuple[int, int]] = {}

    def begin(self, work: Work) -> bool:
        """Have the mark of a suspect that was taken written; it may start when it is committed.

        False if it has killed as many workers as it has attempts: then ``work.attempt`` says how
        many, and nothing is written.
        """
        gate = self._gate
        if gate.group is not None:
            return True
        last = self._last_beside(work)
        if last > work.offset:
            gate.group = Group(work.lanes, last + 1)
            self._mark(work.possession, (last, 0))
            return True
        ran, attempt = work.possession.running or (-1, 0)
        before = attempt if ran == work.offset else 0
        if before >= self._attempts:
            work.attempt = before
            return False
        work.attempt = max(work.attempt, before + 1)
        self._mark(work.possession, (work.offset, work.attempt))
        return True

    def left(self, work: Work, *, stuck: bool = False) -> None:
        """A suspect runs no more, or not for now: should we die, it was not this one.

        A single one that has ended is taken back by the transaction that finishes it. Until its
        mark is taken back it is blamed for whatever runs here, so nobody starts before. One that
        is ``stuck`` still runs, and nobody waits for it.
        """
        possession = work.possession
        mark = possession.running
        if not work.alone or mark is None:
            return
        offset, count = mark
        if count and offset == work.offset and possession.marked == mark and not stuck:
            self._hold(possession, mark)
        if count:
            over = offset == work.offset and work.attempt > count
        else:
            over = not self._gate.alone and self._gate.group is None
        if over:
            self._mark(possession, None)

    def settled(self) -> bool:
        """What is committed was learned; True if somebody may start who had to wait for it."""
        free = [p for p, mark in self._loose.items() if _is_over(p) or p.marked != mark]
        for possession in free:
            del self._loose[possession]
        self._gate.loose -= len(free)
        return bool(free)

    def _hold(self, possession: Possession, mark: tuple[int, int]) -> None:
        if _is_over(possession):
            return
        self._gate.loose += possession not in self._loose
        self._loose[possession] = mark
        self._shared.committer.set()

    def _last_beside(self, work: Work) -> int:
        """The last offset of the suspects that may run together with this one."""
        possession = work.possession
        if work.offset < possession.singly_below:
            return work.offset
        with self._shared.lock:
            following = (o for o in possession.progress.incomplete if o >= work.offset)
            *_, last = work.offset, *islice(following, GROUP_MAX)
        return min(last, possession.suspects_below - 1)

    def _mark(self, possession: Possession, mark: tuple[int, int] | None) -> None:
        with self._shared.lock:
            possession.running = mark
        self._shared.committer.set()


def _is_over(possession: Possession) -> bool:
    return possession.ended or possession.foreign


def is_suspect(possession: Possession, offset: int) -> bool:
    """Whether this task may have killed the owners that died in a row."""
    return possession.deaths > DEATHS_MAX and offset < possession.suspects_below


def may_start(possession: Possession) -> bool:
    """Whether the mark of what is to run alone is committed, or will never be."""
    return possession.foreign or possession.marked == possession.running
