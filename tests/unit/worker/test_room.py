"""How much may be open, and what counts."""

from __future__ import annotations

import threading

import pytest

from streams.core.ledger import Ledger
from streams.core.offsets import CompletionMap
from streams.core.outbox import Outbox
from streams.errors import DataLost
from streams.worker.room import Room
from streams.worker.shared import Shared

MOST = 40


def shared_by(*fetched: int) -> Shared:
    """Partitions from 0 on, of which so many records each were fetched."""
    shared = Shared(Ledger("me"), threading.Event(), threading.Event())
    for partition, count in enumerate(fetched):
        possession = shared.ledger.gain(partition, CompletionMap(0, 0))
        for offset in range(count):
            assert possession.progress.fetched(offset)
    return shared


def test_what_is_open_stops_fetching_until_half_of_it_has_ended() -> None:
    shared = shared_by(MOST - 1, 1)
    room = Room("tasks", shared, MOST)
    assert room.is_crowded()
    assert room.to_pause(draining=False) == {0, 1}
    shared.ledger.possessions[0].progress.settle(set(range(MOST // 2 - 1)))
    room.is_crowded()
    assert room.to_pause(draining=False) == {0, 1}
    shared.ledger.possessions[0].progress.settle({MOST // 2})
    assert not room.is_crowded()
    assert room.to_pause(draining=False) == set()


def test_a_partition_that_is_not_ours_takes_no_room_and_is_not_read() -> None:
    """Nothing of it will ever be committed: it would keep the others from going on for ever."""
    shared = shared_by(MOST, MOST // 2)
    room = Room("tasks", shared, MOST)
    assert room.is_crowded()
    ledger = shared.ledger
    ledger.finish(Outbox(0, ledger.possessions[0].epoch, 0, (), None))
    assert ledger.disown(0)
    assert ledger.possessions[0].box == []
    assert not room.is_crowded()
    assert room.to_pause(draining=False) == {0}


@pytest.mark.parametrize("why", ["not ours", "stopped"])
def test_a_suspect_that_will_not_come_is_not_waited_for(why: str) -> None:
    """While the first suspect of a partition is awaited, all is fetched; but not for ever."""
    shared = shared_by(1, MOST)
    room = Room("tasks", shared, MOST)
    shared.ledger.possessions[0].first = 5
    assert not room.is_crowded()
    if why == "stopped":
        shared.stop(0, DataLost("gone"))
    else:
        shared.ledger.disown(0)
    assert room.is_crowded()
