"""Lanes: the order of tasks inside a worker.

A lane is the queue of one key in one possession of a partition: its tasks run one after the
other. Tasks without a key, or of an agent without order, have no lane and may run at once.
Empty lanes are dropped, else every key ever seen would stay in memory.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, NamedTuple, Protocol, TypeVar


class Item(Protocol):
    """What can be queued: ``lane`` is its key or None; ``lanes`` the possession's lanes."""

    @property
    def lane(self) -> bytes | None: ...
    @property
    def lanes(self) -> Lanes: ...
    @property
    def alone(self) -> bool:
        """In quarantine: it may have killed its worker, so nothing else runs beside it."""
        ...

    @property
    def offset(self) -> int:
        """Where its record stands in its partition."""
        ...

    @property
    def held(self) -> bool:
        """In quarantine: another of its partition comes first, which is yet to be added."""
        ...


T = TypeVar("T", bound=Item)


class Lanes:
    """The lanes of one possession of a partition; thrown away whole when it ends."""

    __slots__ = ("ended", "waiting")

    def __init__(self) -> None:
        # A key that is present has a task under way; the deque holds those behind it.
        self.waiting: dict[bytes, deque[Any] | None] = {}
        self.ended = False


PATIENCE_S = 1.0
"""How long others start nothing while one in quarantine waits for those that run."""
ROW_MAX = 16
"""How many groups in quarantine run one after the other before others have a turn."""


class Group(NamedTuple):
    """In quarantine together: those of one possession whose offsets are below a bound."""

    lanes: Lanes
    below: int


class Gate:
    """Shared by all schedulers of a process, so that a group in quarantine runs alone in it.

    After a row of such groups, of at most ROW_MAX and about a second, others may start again, as
    many as the row or as its scheduler's concurrency: each change of turns waits until all that
    runs has ended. If those that run do not end, so that it waits in vain, others may start for as
    long as it has waited. A quarantine slows a worker down, it does not stop it.
    """

    __slots__ = (
        "_patience_s",
        "_row",
        "_row_over",
        "_row_since",
        "_since",
        "allowance",
        "alone",
        "group",
        "loose",
        "open",
        "ready",
        "running",
        "waiting",
    )

    def __init__(self) -> None:
        self.ready = 0
        """Others that could run, of all schedulers."""
        self.running = 0
        self.alone = 0
        """How many in quarantine are running."""
        self.group: Group | None = None
        """Whose others may run beside the one that began; None: it runs all alone."""
        self.loose = 0
        """Marks on record of those that no longer run: nobody starts before they are taken back."""
        self.waiting = 0
        """Those in quarantine that could run."""
        self.allowance = 0
        """How many others may start before the next one in quarantine."""
        self.open = False
        """Others may start although one in quarantine waits: those that run take too long."""
        self._since: float | None = None
        self._patience_s = PATIENCE_S
        self._row = 0
        self._row_since: float | None = None
        self._row_over = False

    def look(self, now: float) -> bool:
        """Take turns by the time, told often while anything runs; True if others may start now.

        Each wait in vain doubles the next, so that one will be longer than any handler.
        """
        if self.alone:
            self._row_since = now if self._row_since is None else self._row_since
            self._row_over = now - self._row_since >= PATIENCE_S
        if self.alone or not (self.waiting and self.running):
            self.open, self._since = False, None
        elif not self.open and self.allowance > 0 and self.ready:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= self._patience_s:
            self._since, self.open = now, not self.open
            if not self.open:
                self._patience_s *= 2
            return self.open
        return False

    def begin_alone(self) -> None:
        """One in quarantine starts: the waits begin anew."""
        self.waiting -= 1
        self.alone += 1
        self.open = False
        self._since = None
        self._patience_s = PATIENCE_S

    def joins(self, item: Item) -> bool:
        """Whether this one may run beside those in quarantine that do."""
        group = self.group
        return (
            group is not None
            and item.lanes is group.lanes
            and item.offset < group.below
            and not (self._row_over and self.alone)
        )

    def end_alone(self, others: int, *, more: bool) -> None:
        """One in quarantine has ended; after a whole row of groups so many others may start.

        ``more`` of its group wait to run.
        """
        self.alone -= 1
        if not more:
            self.end_group(others)

    def end_group(self, others: int) -> None:
        """If none of a group runs, nor will: it has ended."""
        if self.alone:
            return
        self.group = None
        self._row += 1
        if self._row_over or self._row >= ROW_MAX or not self.waiting:
            self.allowance = max(others, self._row)
            self._row, self._row_since, self._row_over = 0, None, False


class Scheduler(Generic[T]):
    """Which task may run next: at most ``concurrency`` at once, in order per lane."""

    def __init__(self, concurrency: int, gate: Gate) -> None:
        self.concurrency = concurrency
        self.running = 0
        self.queued = 0
        """Tasks admitted and not running, those waiting for a retry included."""
        self.gate = gate
        self._ready: deque[T] = deque()
        self._alone: deque[T] = deque()
        self._held: deque[T] = deque()
        self._stuck: set[T] = set()

    def add(self, item: T) -> None:
        """Admit a task, behind those of its lane."""
        self.queued += 1
        lane = item.lane
        if lane is not None:
            waiting = item.lanes.waiting
            if lane in waiting:
                behind = waiting[lane]
                if behind is None:
                    behind = waiting[lane] = deque()
                behind.append(item)
                return
            waiting[lane] = None
        self._make_ready(item)

    def take(self) -> T | None:
        """A task to start now, or None; the caller must end it with ``finish`` or ``suspend``."""
        gate = self.gate
        if gate.loose:
            return None
        if gate.group is not None:
            return self._take_member()
        if gate.alone:
            return None
        if gate.waiting and (gate.allowance <= 0 or not gate.ready):
            if not gate.running:
                return self._take_alone()
            if not gate.open:
                return None
        if self.running >= self.concurrency and not gate.running:
            # All its places are taken by tasks that do not end: nobody has a turn here.
            gate.allowance = 0
        if not self._ready or self.running >= self.concurrency:
            return None
        item = self._ready.popleft()
        gate.ready -= 1
        gate.allowance -= 1
        return self._run(item)

    def unhold(self) -> None:
        """What some waited for was added: they queue up behind it."""
        held, self._held = self._held, deque[T]()
        for item in held:
            self._make_ready(item)

    def finish(self, item: T) -> None:
        """A task that was taken is over: its slot is free and its lane moves on."""
        lane = item.lane
        if lane is not None:
            # First: in quarantine what comes behind it may be of the same group.
            waiting = item.lanes.waiting
            behind = waiting.get(lane)
            if behind:
                self._make_ready(behind.popleft())
            else:
                waiting.pop(lane, None)
        self._give_back(item)

    def suspend(self, item: T) -> None:
        """A taken task waits (for its retry): the slot is free, the lane stays blocked."""
        self._give_back(item)
        self.queued += 1

    def resume(self, item: T) -> None:
        """A suspended task may run again, before newer ones; unless its possession is over."""
        if item.lanes.ended:
            self.queued -= 1
        elif item.alone:
            self._make_ready(item)
        else:
            self._ready.appendleft(item)
            self.gate.ready += 1

    def disregard(self, item: T) -> None:
        """A taken task does not end though it was told to: quarantine waits for it no longer."""
        if item not in self._stuck:
            self._stuck.add(item)
            self._leave_gate(item)

    def end(self, lanes: Lanes) -> None:
        """A possession is over: what it queued will not run."""
        lanes.ended = True
        self.queued -= sum(len(behind) for behind in lanes.waiting.values() if behind)
        lanes.waiting.clear()
        alone, self._alone = self._alone, _without(self._alone, lanes)
        self.gate.waiting -= len(alone) - len(self._alone)
        ready, self._ready = self._ready, _without(self._ready, lanes)
        self.gate.ready -= len(ready) - len(self._ready)
        held, self._held = self._held, _without(self._held, lanes)
        self.queued -= len(alone) - len(self._alone) + len(ready) - len(self._ready)
        self.queued -= len(held) - len(self._held)
        if self.gate.group and self.gate.group.lanes is lanes:
            self.gate.end_group(self.concurrency)

    @property
    def quarantined(self) -> int:
        """Tasks that wait for their turn in quarantine."""
        return len(self._alone) + len(self._held)

    def _make_ready(self, item: T) -> None:
        if item.alone and item.held:
            self._held.append(item)
        elif item.alone:
            self._alone.append(item)
            self.gate.waiting += 1
        else:
            self._ready.append(item)
            self.gate.ready += 1

    def _take_alone(self) -> T | None:
        gate = self.gate
        if not self._alone:
            return None
        item = self._alone.popleft()
        gate.begin_alone()
        return self._run(item)

    def _take_member(self) -> T | None:
        if self.gate.alone and self.running >= self.concurrency:
            return None
        item = next(filter(self.gate.joins, self._alone), None)
        if item is None:
            return None
        self._alone.remove(item)
        self.gate.begin_alone()
        return self._run(item)

    def _run(self, item: T) -> T:
        self.queued -= 1
        self.running += 1
        self.gate.running += 1
        return item

    def _give_back(self, item: T) -> None:
        self.running -= 1
        if item in self._stuck:
            self._stuck.remove(item)
        else:
            self._leave_gate(item)

    def _leave_gate(self, item: T) -> None:
        self.gate.running -= 1
        if item.alone:
            more = self.gate.group is not None and any(map(self.gate.joins, self._alone))
            self.gate.end_alone(self.concurrency, more=more)


def _without(items: deque[T], lanes: Lanes) -> deque[T]:
    return deque(item for item in items if item.lanes is not lanes)
