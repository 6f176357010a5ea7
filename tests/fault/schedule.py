"""Which faults strike in which order: drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from .fault import Fault


def kinds_of(faults: Sequence[Fault], brokers: int) -> list[Fault]:
    """The faults that make sense in a cluster of this size and can be struck here."""
    return [fault for fault in faults if brokers in fault.brokers and fault.needs is None]


def draw(faults: Sequence[Fault], seed: str) -> Iterator[tuple[Fault, random.Random]]:
    """Endless rounds of all kinds, each round in an order of its own, each fault with its own
    source of chance: what one draws does not move the others."""
    order = random.Random(seed)
    number = 0
    while True:
        for fault in order.sample(faults, len(faults)):
            number += 1
            yield fault, random.Random(f"{seed}/{number}/{fault.name}")
