"""A static member that is fenced: by another process, or by what it asked for itself before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from streams.core.ledger import Ledger
from streams.errors import DataLost, LogError, SlotInUse
from streams.ports import Consumed, Membership
from streams.testing.memory import MemoryLog
from streams.worker.poll import STANDING_S, Poll
from streams.worker.restore import Restored, Restorer
from streams.worker.shared import Identity, Shared

FENCED = LogError("_FATAL", "static member fenced by another of the same id")
STEPS = 40


class Clock:
    """Stands still but for what a script lets pass."""

    now = 0.0

    def now_micros(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now

    def boottime(self) -> float:
        return 0.0


@dataclass
class Consumer:
    """Does what its script says, one entry with each ``consume``: a callback or an error."""

    script: list[str]
    clock: Clock
    listener: Any = None

    def subscribe(self, listener: Any) -> None:
        self.listener = listener

    def wait(self, partitions: object) -> Restored:
        self.clock.now += STANDING_S
        return Restored({}, {0: DataLost("not the matter here")}, {0: 0})

    def consume(self, records_max: int, timeout_s: float) -> Consumed:
        match self.script.pop(0) if self.script else "":
            case "assign":
                self.listener.on_assign([])
            case "slow":
                # The broker goes away while it looks where its partitions go on.
                with patch.object(Restorer, "restore", self.wait):
                    self.listener.on_assign([0])
            case "lose":
                self.listener.on_lost([0])
            case "later":
                self.clock.now += STANDING_S
            case "fenced":
                return Consumed((), [FENCED])
            case _:
                pass
        return Consumed(())

    def membership(self) -> Membership:
        """Also after a loss, as the client's own is."""
        return Membership(b"t", 3, "member")

    def pause(self, partitions: Iterable[int]) -> None: ...

    resume = pause

    def unsubscribe(self) -> None: ...

    close = unsubscribe


def fenced(*scripts: str) -> tuple[Any, int]:
    """What ended the pool, and how many consumers it made; one script for each of them."""
    made: list[Consumer] = []
    clock = Clock()

    def new_consumer() -> Consumer:
        script = scripts[len(made)] if len(made) < len(scripts) else ""
        made.append(Consumer(script.split(), clock))
        return made[-1]

    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    signal = SimpleNamespace(set=quiet)
    shared = Shared(Ledger("g.a"), signal, signal)  # type: ignore[arg-type]
    around = SimpleNamespace(log=MemoryLog(clock), clock=clock, runner=None)
    poll = Poll(
        Identity("g", "t", "g.a", "r", frozenset()),
        shared,
        around,  # type: ignore[arg-type]
        new_consumer,  # type: ignore[arg-type]
        SimpleNamespace(deliver=quiet, ended=quiet),  # type: ignore[arg-type]
        learn_schemas=quiet,
        live=frozenset,
        held_max=10,
    )
    steps = poll.run()
    for _ in range(STEPS):
        if next(steps, "over") == "over":
            break
    return shared.failure, len(made)


def test_a_member_in_good_standing_that_is_fenced_has_met_another_process() -> None:
    failure, made = fenced("assign later fenced")
    assert isinstance(failure, SlotInUse)
    assert made == 1


@pytest.mark.parametrize(
    "script",
    [
        "assign later lose idle fenced",
        "idle later fenced",
        "assign idle fenced",
        "assign later assign fenced",
        "slow fenced",
    ],
)
def test_a_member_that_had_lost_its_partitions_is_fenced_by_its_own_late_requests(
    script: str,
) -> None:
    """So is one that joins anew: what it asked for before may be carried out at any moment."""
    failure, made = fenced(script, "assign")
    assert failure is None
    assert made == 2, "it joins anew"


def test_fenced_again_and_again_means_another_process_after_a_loss_too() -> None:
    failure, made = fenced(*["assign lose fenced"] * 5)
    assert isinstance(failure, SlotInUse)
    assert made == 3
