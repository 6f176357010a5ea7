"""What a new owner concludes from the map of its predecessor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.core.ledger import DEATHS_MAX, TAIL_MAX, Ledger, Ownership, inherit
from streams.core.offsets import CompletionMap, decode
from streams.core.outbox import Outbox
from streams.ports import Membership

END = 100


def test_a_released_partition_is_no_death() -> None:
    left = CompletionMap(5, 9, (5, 7), "a", 3, True, 2, 50, (5, 1))
    assert inherit(left, END) == CompletionMap(5, 9, (5, 7), epoch=3)


def test_an_offset_set_by_hand_is_no_death() -> None:
    assert inherit(CompletionMap(5, 5), END) == CompletionMap(5, 5)


def test_the_first_death_suspects_all_that_could_have_been_started() -> None:
    assert inherit(CompletionMap(5, 9, (5, 7), "a", 3), END) == CompletionMap(
        5, 9, (5, 7), epoch=3, deaths=1, suspects_below=END
    )
    assert inherit(CompletionMap(5, 9, (), "a"), 10**6).suspects_below == 9 + TAIL_MAX


def test_deaths_are_counted_while_a_suspect_is_left() -> None:
    left = CompletionMap(5, 9, (5,), "a", 3, deaths=2, suspects_below=8, running=(5, 1))
    assert inherit(left, END) == CompletionMap(
        5, 9, (5,), epoch=3, deaths=3, suspects_below=8, running=(5, 1)
    )


def test_owners_that_go_on_dying_widen_the_suspicion() -> None:
    """One above the bound may have killed them, before the suspects were through."""
    left, bounds = CompletionMap(5, 9, (5,), "a", 3), list[int]()
    for end in range(10, 20):
        left = replace(inherit(left, end), owner="a")
        bounds.append(left.suspects_below)
    assert bounds == [10, 10, 10, 10, 10, 15, 15, 15, 18, 18]


@pytest.mark.parametrize("offset", [8, 9])
def test_without_a_suspect_the_count_begins_anew(offset: int) -> None:
    left = CompletionMap(offset, 12, (), "a", 3, deaths=7, suspects_below=8)
    found = inherit(left, END)
    assert (found.deaths, found.suspects_below) == (1, END)


def claim(ledger: Ledger) -> CompletionMap:
    ownership = Ownership(
        {p: s.epoch for p, s in ledger.possessions.items()}, Membership("t", 1, "m")
    )
    plan = ledger.plan(ownership, 10)
    assert plan is not None
    ledger.settle(plan)
    return decode(plan.offsets[0].offset, plan.offsets[0].metadata)


def test_owners_that_die_in_a_row_lead_to_quarantine_and_its_end_out_of_it() -> None:
    left = CompletionMap(0, 0)
    for death in range(DEATHS_MAX + 2):
        ledger = Ledger(f"owner-{death}")
        possession = ledger.gain(0, inherit(left, 3))
        assert possession.deaths == death
        for offset in range(3):
            possession.progress.fetched(offset)
        left = claim(ledger)
        assert left.deaths == death
    assert possession.deaths > DEATHS_MAX
    for offset in range(3):
        ledger.finish(Outbox(0, possession.epoch, offset, (), None))
    left = claim(ledger)
    assert (left.deaths, left.suspects_below, possession.deaths) == (0, 0, 0)
    assert inherit(left, 9).deaths == 1


def test_what_runs_in_quarantine_stands_in_the_map_until_it_is_finished() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 0))
    possession.progress.fetched(0)
    possession.running = (0, 2)
    assert ledger.urgent
    assert claim(ledger).running == (0, 2)
    assert not ledger.urgent
    ledger.finish(Outbox(0, possession.epoch, 0, (), None))
    assert claim(ledger).running is None
    assert possession.running is None
    assert not ledger.pending


def test_the_offset_that_ran_alone_comes_first_in_the_next_possession() -> None:
    left = CompletionMap(5, 9, (5, 7), "a", 3, deaths=3, suspects_below=8, running=(7, 2))
    assert Ledger("b").gain(0, inherit(left, END)).first == 7


def test_an_offset_that_ran_alone_and_is_finished_comes_no_more() -> None:
    left = CompletionMap(5, 9, (5,), "a", 3, deaths=3, suspects_below=8, running=(7, 2))
    assert Ledger("b").gain(0, inherit(left, END)).first is None


def test_what_runs_alone_is_listed_so_that_the_next_owner_is_given_it_before_it_may_pause() -> None:
    ledger = Ledger("a")
    possession = ledger.gain(0, inherit(CompletionMap(0, 0, (), "o", 1, False, 2, 9), 9))
    for offset in range(5):
        possession.progress.fetched(offset)
    possession.running = (3, 1)
    left = claim(ledger)
    assert (left.high, left.incomplete, left.running) == (4, (0, 1, 2, 3), (3, 1))


def test_after_a_death_in_a_group_its_suspects_run_one_at_a_time() -> None:
    left = CompletionMap(5, 12, (5, 7, 9, 11), "a", 3, False, 3, 20, (9, 0))
    possession = Ledger("b").gain(0, inherit(left, END))
    assert (possession.singly_below, possession.first) == (10, None)
    # And still, if this owner dies before the first of them has started.
    again = Ledger("c")
    again.gain(0, inherit(left, END))
    assert claim(again).running == (9, 0)


def test_a_group_stands_in_the_map_until_its_executor_takes_it_back() -> None:
    ledger = Ledger("me")
    possession = ledger.gain(0, CompletionMap(0, 0))
    for offset in range(3):
        possession.progress.fetched(offset)
    possession.running = (2, 0)
    assert claim(ledger).running == (2, 0)
    ledger.finish(Outbox(0, possession.epoch, 2, (), None))
    left = claim(ledger)
    assert (left.running, left.incomplete) == ((2, 0), (0, 1)), "others of the group still run"
    possession.running = None
    assert ledger.urgent
    assert claim(ledger).running is None
