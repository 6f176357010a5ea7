"""A plan of faults, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from streams.agent import Agent
from streams.testing.crew import PARTITIONS
from streams.testing.faults import (
    ERRORS,
    Cut,
    Fails,
    Fault,
    Freeze,
    Join,
    Kill,
    Late,
    Leave,
    Misread,
    Trim,
)

FATAL = frozenset({"misread", "trim"})


def storm(
    seed: int,
    agent: Agent[Any, Any],
    *,
    seconds: float = 6.0,
    faults: tuple[int, int] = (1, 6),
    fatal: bool = False,
) -> list[Fault]:
    """Between so many and so many faults of all kinds within the first ``seconds``.

    With ``fatal`` also those after which a partition of ``agent`` stops until somebody looks at it.
    The same arguments give the same plan.
    """
    chance = random.Random(f"storm {seed}")
    count = chance.randint(*faults)
    kinds = {name: kind for name, kind in _KINDS.items() if fatal or name not in FATAL}
    drawn = chance.choices(list(kinds), [weight for weight, _ in kinds.values()], k=count)
    return [kinds[name][1](chance, chance.uniform(0.0, seconds), agent.name) for name in drawn]


def _kill(chance: random.Random, at_s: float, agent: str) -> Fault:
    return Kill(
        chance.randrange(8),
        at_s,
        calls=chance.choice((0, chance.randint(1, 60))),
        back_s=chance.choice((0.1, 1.0, 8.0)),
        same_slot=chance.random() < 0.7,
        static=chance.random() < 0.5,
    )


def _freeze(chance: random.Random, at_s: float, agent: str) -> Fault:
    return Freeze(chance.randrange(8), at_s, chance.choice((0.3, 3.0, 5.0, 7.0, 12.0)))


def _leave(chance: random.Random, at_s: float, agent: str) -> Fault:
    return Leave(chance.randrange(8), at_s, chance.choice((0.1, 2.0)), chance.random() < 0.3)


def _cut(chance: random.Random, at_s: float, agent: str) -> Fault:
    worker = None if chance.random() < 0.3 else chance.randrange(8)
    for_s, reply_lost = chance.choice((0.5, 2.0, 5.5, 9.0)), chance.random() < 0.5
    return Cut(worker, at_s, for_s, reply_lost, joining=chance.random() < 0.4)


def _fails(chance: random.Random, at_s: float, agent: str) -> Fault:
    method, kind, severity = chance.choice(ERRORS)
    worker = None if chance.random() < 0.3 else chance.randrange(8)
    applied = chance.random() < 0.5 and not severity and method != "begin"
    return Fails(method, kind, worker, at_s, chance.choice((1, 1, 2, 4)), applied, severity)


def _late(chance: random.Random, at_s: float, agent: str) -> Fault:
    method = "commit" if chance.random() < 0.6 else "send_offsets"
    by_s, again = chance.choice((0.005, 0.03, 0.1, 0.6)), chance.random() < 0.5
    return Late(chance.randrange(8), at_s, method, by_s, again)


def _misread(chance: random.Random, at_s: float, agent: str) -> Fault:
    return Misread(agent, chance.randrange(PARTITIONS), at_s)


def _trim(chance: random.Random, at_s: float, agent: str) -> Fault:
    return Trim(agent, chance.randrange(PARTITIONS), at_s, chance.choice((0, 0, 3)))


_KINDS: dict[str, tuple[int, Callable[[random.Random, float, str], Fault]]] = {
    "kill": (4, _kill),
    "freeze": (3, _freeze),
    "join": (2, lambda chance, at_s, agent: Join(at_s)),
    "leave": (3, _leave),
    "cut": (3, _cut),
    "fails": (5, _fails),
    "late": (2, _late),
    "misread": (1, _misread),
    "trim": (1, _trim),
}
"""Weight and drawing of each kind."""
