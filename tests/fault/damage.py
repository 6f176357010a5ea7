"""Damages to a network that a proxy can do, each undone by ``Proxy.mend``."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from .proxy import END_TXN, FETCH, TXN_OFFSET_COMMIT, Proxy, Rule


class Damage(NamedTuple):
    """A kind of damage: drawn and done by ``do``, there for ``pause_s``."""

    name: str
    pause_s: tuple[float, float]
    do: Callable[[Proxy, random.Random], None]


def _lose_reply(kind: int) -> Callable[[Proxy, random.Random], None]:
    def lose(proxy: Proxy, rng: random.Random) -> None:
        """The broker did it, and the client does not hear of it: a time-out or an end."""
        hang_up, times = rng.random() < 0.5, rng.randint(1, 3)
        proxy.rules = [Rule("reply", frozenset({kind}), drop=True, hang_up=hang_up, times=times)]

    return lose


def _delay_end(proxy: Proxy, rng: random.Random) -> None:
    """Some arrive when their client has given up, and has ended the transaction by another."""
    delay_s = rng.uniform(0.2, 8.0)
    proxy.rules = [Rule("request", frozenset({END_TXN}), delay_s=delay_s, times=rng.randint(1, 3))]


def _delay_replies(proxy: Proxy, rng: random.Random) -> None:
    proxy.rules = [Rule("reply", delay_s=rng.uniform(0.02, 0.4))]


def _lose_replies(proxy: Proxy, rng: random.Random) -> None:
    proxy.rules = [Rule("reply", drop=True, share=rng.choice((0.01, 0.1, 1.0)))]


def _lose_connections(proxy: Proxy, rng: random.Random) -> None:
    proxy.rules = [Rule("reply", hang_up=True, share=rng.choice((0.005, 0.02, 0.1)))]


DAMAGES = (
    Damage("lose-reply-to-endtxn", (2.0, 8.0), _lose_reply(END_TXN)),
    Damage("lose-reply-to-offsets", (2.0, 8.0), _lose_reply(TXN_OFFSET_COMMIT)),
    Damage("lose-reply-to-fetch", (2.0, 8.0), _lose_reply(FETCH)),
    Damage("delay-endtxn", (4.0, 10.0), _delay_end),
    Damage("delay-replies", (3.0, 8.0), _delay_replies),
    Damage("lose-replies", (2.0, 9.0), _lose_replies),
    Damage("lose-connections", (3.0, 8.0), _lose_connections),
    Damage("hold-network", (1.0, 12.0), lambda proxy, _: proxy.hold()),
    Damage("refuse-network", (1.0, 12.0), lambda proxy, _: proxy.refuse()),
)
