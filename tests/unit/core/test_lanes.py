"""Lanes and quarantine against a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.core.lanes import ROW_MAX, Gate, Group, Lanes, Scheduler


@dataclass(eq=False)
class Item:
    lane: bytes | None
    lanes: Lanes
    alone: bool = False
    number: int = 0
    state: str = field(default="queued")
    """queued, running, waiting (for a retry), done, dropped."""
    stuck: bool = False
    held: bool = False

    @property
    def offset(self) -> int:
        return self.number


def scheduler(concurrency: int = 2, gate: Gate | None = None) -> Scheduler[Item]:
    return Scheduler(concurrency, gate or Gate())


class Model(RuleBasedStateMachine):
    """Two schedulers that share a gate, possessions that come and go."""

    @initialize(a=st.integers(1, 4), b=st.integers(1, 4))
    def begin(self, a: int, b: int) -> None:
        self.gate = Gate()
        self.now = 0.0
        self.schedulers = [Scheduler[Item](a, self.gate), Scheduler[Item](b, self.gate)]
        self.possessions = [[Lanes() for _ in range(3)] for _ in range(2)]
        self.items: list[list[Item]] = [[], []]

    def _in(self, which: int, *states: str) -> list[Item]:
        return [item for item in self.items[which] if item.state in states]

    @rule(
        which=st.integers(0, 1),
        partition=st.integers(0, 2),
        lane=st.sampled_from([None, b"a", b"b", b"c"]),
        alone=st.sampled_from([False, False, True]),
    )
    def add(self, which: int, partition: int, lane: bytes | None, alone: bool) -> None:
        lanes = self.possessions[which][partition]
        item = Item(lane, lanes, alone, len(self.items[which]))
        self.items[which].append(item)
        self.schedulers[which].add(item)

    def _take(self, which: int) -> Item | None:
        item = self.schedulers[which].take()
        if item is None:
            return None
        if item.alone and self.gate.group is None and item.number % 3:
            self.gate.group = Group(item.lanes, item.number + 20)
        assert item.state in ("queued", "resumed"), f"a task that is {item.state} was started"
        before = [
            other
            for other in self._in(which, "queued", "running", "waiting", "resumed")
            if other.lanes is item.lanes and item.lane is not None and other.lane == item.lane
        ]
        assert not before or before[0] is item, "started before its turn"
        item.state = "running"
        return item

    @rule(which=st.integers(0, 1))
    def take(self, which: int) -> None:
        self._take(which)

    @precondition(lambda self: any(self._in(w, "running") for w in (0, 1)))
    @rule(data=st.data(), how=st.sampled_from(["finish", "finish", "suspend"]))
    def stop(self, data: st.DataObject, how: str) -> None:
        running = [(w, item) for w in (0, 1) for item in self._in(w, "running")]
        which, item = data.draw(st.sampled_from(running))
        item.stuck = False
        if how == "finish" or item.lanes.ended:
            item.state = "done"
            self.schedulers[which].finish(item)
        else:
            item.state = "waiting"
            self.schedulers[which].suspend(item)

    @precondition(lambda self: any(self._in(w, "running") for w in (0, 1)))
    @rule(data=st.data())
    def disregard(self, data: st.DataObject) -> None:
        running = [(w, item) for w in (0, 1) for item in self._in(w, "running")]
        which, item = data.draw(st.sampled_from(running))
        item.stuck = True
        self.schedulers[which].disregard(item)

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.gate.look(self.now)

    @precondition(lambda self: any(self._in(w, "waiting") for w in (0, 1)))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        waiting = [(w, item) for w in (0, 1) for item in self._in(w, "waiting")]
        which, item = data.draw(st.sampled_from(waiting))
        item.state = "dropped" if item.lanes.ended else "resumed"
        self.schedulers[which].resume(item)

    @rule(which=st.integers(0, 1), partition=st.integers(0, 2))
    def end(self, which: int, partition: int) -> None:
        lanes = self.possessions[which][partition]
        self.possessions[which][partition] = Lanes()
        for item in self._in(which, "queued", "resumed"):
            if item.lanes is lanes:
                item.state = "dropped"
        self.schedulers[which].end(lanes)

    @rule()
    def run_all_to_the_end(self) -> None:
        """Whatever is queued gets its turn: nothing starves, nothing is stuck."""
        for which in (0, 1):
            for item in self._in(which, "waiting"):
                item.state = "dropped" if item.lanes.ended else "resumed"
                self.schedulers[which].resume(item)
        while True:
            taken = [item for w in (0, 1) if (item := self._take(w)) is not None]
            running = [(w, item) for w in (0, 1) for item in self._in(w, "running")]
            if not taken and not running:
                break
            for which, item in running:
                item.state, item.stuck = "done", False
                self.schedulers[which].finish(item)
            self.counters_are_right()
        for which in (0, 1):
            assert not self._in(which, "queued", "resumed", "waiting", "running")
            assert not any(lanes.waiting for lanes in self.possessions[which]), "a lane leaks"

    @invariant()
    def counters_are_right(self) -> None:
        if not hasattr(self, "gate"):
            return
        running: list[Item] = []
        for which, tested in enumerate(self.schedulers):
            here = self._in(which, "running")
            running += here
            # A suspect may start beside those that do not end, whose places are lost.
            stuck = sum(item.stuck for item in here)
            assert tested.running == len(here) <= tested.concurrency + stuck
            assert tested.queued == len(self._in(which, "queued", "resumed", "waiting"))
            lanes_seen = [(i.lanes, i.lane) for i in here if i.lane is not None]
            assert len(lanes_seen) == len(set(lanes_seen)), "two of a lane at once"
        running = [item for item in running if not item.stuck]
        assert self.gate.running == len(running)
        assert self.gate.alone == sum(item.alone for item in running)
        if self.gate.alone:
            assert self.gate.alone == len(running), "something runs beside those in quarantine"
            assert len({item.lanes for item in running}) == 1, "of two possessions at once"
            assert len(running) == 1 or self.gate.group is not None
        assert self.gate.waiting == sum(s.quarantined for s in self.schedulers)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=60, deadline=None)


def drain(*schedulers: Scheduler[Item]) -> list[Item]:
    """Run everything, one task at a time per scheduler; the order of starts."""
    started: list[Item] = []
    while True:
        taken = [(s, item) for s in schedulers if (item := s.take()) is not None]
        if not taken:
            return started
        for tested, item in taken:
            started.append(item)
            tested.finish(item)


def test_a_lane_runs_in_order_and_is_dropped_when_it_is_empty() -> None:
    tested, lanes = scheduler(), Lanes()
    items = [Item(b"k", lanes, number=n) for n in range(5)]
    for item in items:
        tested.add(item)
    assert drain(tested) == items
    assert lanes.waiting == {}


def test_a_suspended_task_blocks_its_lane_only() -> None:
    tested, lanes = scheduler(1), Lanes()
    first, behind, other = Item(b"k", lanes), Item(b"k", lanes), Item(b"o", lanes)
    for item in (first, behind, other):
        tested.add(item)
    assert tested.take() is first
    tested.suspend(first)
    assert tested.take() is other
    tested.finish(other)
    assert tested.take() is None
    assert tested.queued == 2
    tested.resume(first)
    assert drain(tested) == [first, behind]


def test_quarantined_tasks_of_one_pool_do_not_stop_another_pool() -> None:
    gate, lanes = Gate(), Lanes()
    suspicious, other = scheduler(2, gate), scheduler(2, gate)
    for number in range(50):
        suspicious.add(Item(None, lanes, alone=True, number=number))
    mine = [Item(None, lanes, number=number) for number in range(10)]
    for item in mine:
        other.add(item)
    started = drain(suspicious, other)
    assert max(started.index(item) for item in mine) < 30, "they had to wait for all of them"
    assert len(started) == 60


def test_a_quarantined_task_starts_when_all_others_that_were_ready_are_gone() -> None:
    gate, lanes, gone = Gate(), Lanes(), Lanes()
    tested = scheduler(4, gate)
    first, second = Item(None, lanes, alone=True), Item(None, lanes, alone=True)
    tested.add(first)
    tested.add(second)
    assert tested.take() is first
    tested.add(Item(None, gone))
    tested.finish(first)
    tested.end(gone)
    assert tested.take() is second


def waiting_for(gate: Gate, seconds: float) -> list[bool]:
    """Whether others may start, looked at each 50 ms of a time."""
    steps = range(round(seconds / 0.05) + 1)
    return [gate.look(step * 0.05) or gate.open for step in steps]


def test_one_in_quarantine_that_waits_for_a_long_task_lets_others_run() -> None:
    gate, lanes = Gate(), Lanes()
    tested = scheduler(4, gate)
    long, suspect = Item(None, lanes), Item(None, lanes, alone=True)
    tested.add(long)
    assert tested.take() is long
    tested.add(suspect)
    others = [Item(None, lanes, number=n) for n in range(20)]
    for item in others:
        tested.add(item)
    assert tested.take() is None, "they wait for the moment at which nothing runs"
    may = waiting_for(gate, 31)
    waits = "".join("o" if open_ else "." for open_ in may)
    assert 0.45 < waits.count("o") / len(waits) < 0.55, "as long as it waited"
    assert [len(wait) for wait in waits.split("o") if wait][:3] == [20, 40, 80], "ever longer"
    gate.open = True
    started = [tested.take() for _ in range(3)]
    assert started == others[:3]
    for item in others[:3]:
        tested.finish(item)
    tested.finish(long)
    assert tested.take() is suspect, "nothing runs: its moment"
    assert not gate.open


def test_a_task_that_does_not_end_is_not_waited_for() -> None:
    gate, lanes = Gate(), Lanes()
    tested = scheduler(4, gate)
    stuck, suspect, other = Item(None, lanes), Item(None, lanes, alone=True), Item(None, lanes)
    tested.add(stuck)
    assert tested.take() is stuck
    tested.add(suspect)
    assert tested.take() is None
    tested.disregard(stuck)
    assert tested.take() is suspect
    tested.add(other)
    assert tested.take() is None
    tested.disregard(suspect)
    assert tested.take() is other
    assert tested.running == 3, "their places are taken all the same"
    for item in (stuck, suspect, other):
        tested.finish(item)
    assert (gate.running, tested.running) == (0, 0)


def test_suspects_of_a_partition_wait_for_the_one_that_ran_when_its_owner_died() -> None:
    lanes = scheduler()
    before, behind = Item(None, Lanes(), alone=True, held=True), Item(None, Lanes())
    lanes.add(before)
    lanes.add(behind)
    assert lanes.take() is behind, "who is held holds nobody"
    lanes.finish(behind)
    assert lanes.take() is None
    first = Item(None, before.lanes, alone=True)
    lanes.add(first)
    before.held = False
    lanes.unhold()
    assert lanes.quarantined == 2
    assert lanes.take() is first
    lanes.finish(first)
    assert lanes.take() is before
    lanes.finish(before)
    assert (lanes.queued, lanes.running) == (0, 0)


def test_what_is_held_is_dropped_with_its_possession() -> None:
    lanes, ended = scheduler(), Lanes()
    lanes.add(Item(b"a", ended, alone=True, held=True))
    lanes.end(ended)
    lanes.unhold()
    assert (lanes.queued, lanes.quarantined, lanes.take()) == (0, 0, None)


def test_others_have_a_turn_after_a_row_of_suspects() -> None:
    lanes = scheduler(concurrency=2)
    for _ in range(ROW_MAX + 1):
        lanes.add(Item(None, Lanes(), alone=True))
    for _ in range(ROW_MAX + 3):
        lanes.add(Item(None, Lanes()))
    turns = []
    for _ in range(2 * ROW_MAX + 2):
        item = lanes.take()
        assert item is not None
        turns.append(item.alone)
        lanes.finish(item)
    assert turns == [*[True] * ROW_MAX, *[False] * ROW_MAX, True, False]


def test_nobody_starts_while_a_mark_of_what_has_ended_is_on_record() -> None:
    gate = Gate()
    one, other = scheduler(2, gate), scheduler(2, gate)
    one.add(Item(None, Lanes(), alone=True))
    ended = one.take()
    assert ended is not None
    gate.loose = 1
    one.finish(ended)
    one.add(Item(None, Lanes()))
    other.add(Item(None, Lanes(), alone=True))
    assert one.take() is None, "its death would be blamed on the one that has ended"
    assert other.take() is None
    gate.loose = 0
    assert one.take() is not None


def test_suspects_below_a_bound_run_together_those_behind_them_in_a_lane_too() -> None:
    gate, lanes = Gate(), Lanes()
    tested = scheduler(3, gate)
    items = [Item(b"abcab"[n : n + 1], lanes, alone=True, number=n) for n in range(5)]
    above = Item(b"d", lanes, alone=True, number=9)
    foreign = Item(b"a", Lanes(), alone=True, number=0)
    other = Item(None, Lanes())
    for item in (*items, above, foreign, other):
        tested.add(item)
    assert tested.take() is items[0]
    assert tested.take() is None, "it runs all alone, until more is said"
    gate.group = Group(lanes, 5)
    assert [tested.take(), tested.take(), tested.take()] == [items[1], items[2], None]
    for item in items[:3]:
        tested.finish(item)
    assert [tested.take(), tested.take(), tested.take()] == [items[3], items[4], None]
    tested.finish(items[4])
    assert gate.group is not None
    tested.finish(items[3])
    assert gate.group is None
    assert tested.take() is above
    tested.finish(above)
    assert drain(tested) == [foreign, other]


def test_a_group_gives_way_to_others_after_about_a_second() -> None:
    gate, lanes = Gate(), Lanes()
    tested = scheduler(2, gate)
    suspects = [Item(b"k", lanes, alone=True, number=n) for n in range(9)]
    other = Item(None, Lanes())
    for item in (*suspects, other):
        tested.add(item)
    assert tested.take() is suspects[0]
    gate.group = Group(lanes, 9)
    for now in (0.0, 0.5, 1.0):
        gate.look(now)
    tested.finish(suspects[0])
    assert tested.take() is other


def test_a_group_ends_with_its_possession() -> None:
    gate, lanes = Gate(), Lanes()
    tested = scheduler(2, gate)
    first, second = (Item(None, lanes, alone=True, number=n) for n in range(2))
    tested.add(first)
    assert tested.take() is first
    gate.group = Group(lanes, 9)
    tested.add(second)
    tested.end(lanes)
    assert gate.group is not None, "one of it still runs"
    tested.finish(first)
    assert gate.group is None
