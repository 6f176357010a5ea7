"""Progress against a model: nothing is lost and nothing committed runs again."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.core import offsets
from streams.core.offsets import (
    FETCH_MAX,
    INCOMPLETE_MAX,
    METADATA_MAX,
    WINDOW_MAX,
    CompletionMap,
    Progress,
    decode,
)


class Restarts(RuleBasedStateMachine):
    """One partition worked on by one owner after the other.

    The log has records at some offsets (the others are gaps); a model knows which tasks have a
    committed end. An owner fetches, finishes in any order, and commits or aborts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.end = 0
        self.committed: set[int] = set()
        self.metadata = CompletionMap(0, 0).encode()
        self.offset = 0

    @initialize(first=st.integers(0, 3))
    def begin(self, first: int) -> None:
        self.end = first
        self._own()

    def _own(self) -> None:
        start = decode(self.offset, self.metadata)
        self.progress = Progress(start)
        self.position = self.offset
        self.delivered: set[int] = set()
        self.finished: set[int] = set()

    @rule(gaps=st.lists(st.integers(0, 4), min_size=1, max_size=12))
    def append(self, gaps: list[int]) -> None:
        for gap in gaps:
            self.end += gap
            self.log.append(self.end)
            self.end += 1

    @rule(most=st.integers(1, 20))
    def fetch(self, most: int) -> None:
        for offset in [o for o in self.log if o >= self.position][:most]:
            self.position = offset + 1
            wanted = self.progress.fetched(offset)
            assert wanted == (offset not in self.committed), "lost, or run again"
            assert not self.progress.fetched(offset), "delivered twice means run once"
            if wanted:
                self.delivered.add(offset)

    @rule(markers=st.integers(0, 3))
    def read_to_the_end(self, markers: int) -> None:
        self.end += markers
        self.fetch(len(self.log))
        self.progress.ended(self.end)
        self.position = self.end
        if not self.progress.incomplete:
            assert self.progress.base == self.end

    @precondition(lambda self: self.delivered - self.finished)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        open_ = sorted(self.delivered - self.finished)
        self.finished |= data.draw(st.sets(st.sampled_from(open_), min_size=1))

    @rule(data=st.data(), applied=st.booleans())
    def commit(self, data: st.DataObject, applied: bool) -> None:
        part = data.draw(st.sets(st.sampled_from(sorted(self.finished)))) if self.finished else []
        chosen = set(part) - self.committed
        offset, high, incomplete = self.progress.after(chosen)
        assert offset == min(
            (o for o in self.progress.incomplete if o not in chosen), default=self.progress.next
        )
        if not applied:
            return
        self.progress.settle(chosen)
        self.committed |= chosen
        assert offset >= self.offset, "a committed offset never goes back"
        self.offset = offset
        self.metadata = CompletionMap(offset, high, incomplete, "owner", 1).encode()

    @rule()
    def restart(self) -> None:
        self._own()

    @invariant()
    def the_map_knows_what_is_committed(self) -> None:
        left = decode(self.offset, self.metadata)
        for offset in self.log:
            assert left.is_finished(offset) == (offset in self.committed)

    @invariant()
    def what_was_delivered_is_open_or_committed(self) -> None:
        if not hasattr(self, "progress"):
            return
        assert self.delivered - self.committed <= set(self.progress.incomplete)
        held = len(self.progress.incomplete) - self.progress.unfetched
        assert held == len(self.delivered - self.committed)


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


def test_a_new_owner_fetches_all_known_holes_before_it_pauses() -> None:
    holes = tuple(range(0, 2 * (INCOMPLETE_MAX - 1), 2))
    progress = Progress(CompletionMap(0, holes[-1] + 2, holes))
    for offset in range(holes[-1] + 2):
        assert not progress.crowded, "paused: the holes would never be delivered"
        assert progress.roomy
        assert progress.fetched(offset) == (offset in set(holes))
    assert progress.crowded
    assert not progress.roomy


def test_a_wide_window_does_not_keep_its_own_base_away() -> None:
    progress = Progress(CompletionMap(10, 10 + WINDOW_MAX, (10,)))
    assert not progress.crowded
    assert progress.fetched(10)
    assert not progress.crowded, "finished offsets are still to be skipped"
    assert not progress.fetched(9 + WINDOW_MAX)
    assert progress.crowded


def test_a_pause_ends_at_half_of_the_bound() -> None:
    progress = Progress(CompletionMap(0, 0))
    for offset in range(INCOMPLETE_MAX - FETCH_MAX):
        assert not progress.crowded
        progress.fetched(offset)
    assert progress.crowded
    progress.settle(set(range(INCOMPLETE_MAX // 6)))
    assert not progress.crowded
    assert not progress.roomy
    progress.settle(set(range(INCOMPLETE_MAX // 3)))
    assert progress.roomy


def test_finishing_below_the_limit_always_fits_the_map() -> None:
    progress = Progress(CompletionMap(0, 0))
    for offset in range(0, 3 * (INCOMPLETE_MAX + FETCH_MAX), 3):
        progress.fetched(offset)
    limit = progress.limit
    assert limit is not None
    last = max(o for o in progress.incomplete if o < limit)
    offset, high, incomplete = progress.after({last})
    assert len(incomplete) == INCOMPLETE_MAX - 1
    text = CompletionMap(offset, high, incomplete, "o" * offsets.OWNER_MAX, 9).encode()
    assert len(text) <= METADATA_MAX
    assert decode(offset, text).incomplete == incomplete


def test_the_limit_bounds_the_window_over_a_large_gap() -> None:
    progress = Progress(CompletionMap(0, 0))
    for offset in (0, 5, 3 * WINDOW_MAX):
        progress.fetched(offset)
    assert progress.limit == WINDOW_MAX
    progress.settle({0})
    assert progress.limit == 5 + WINDOW_MAX
    progress.settle({5})
    assert progress.limit is None
