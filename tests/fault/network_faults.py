"""Faults between workers and brokers: lines cut, slow and lossy; replies late or lost; a clock."""

from __future__ import annotations

import random
from typing import cast

from . import namespaces, skew
from .fault import Field, Heal, Launch, Missed
from .ground import BEHIND_PROXY, IN_NAMESPACE, Network
from .proxy import END_TXN, TXN_OFFSET_COMMIT, Proxy, Rule
from .skew import HOUR_S
from .worker_faults import BACK_S, at_work

LOSS = (0.05, 0.3)
SKEWED = "skewed"
EFFECT_S = 20.0
"""How long a fault goes on beyond its pause if it has met nothing yet."""


class _OnLine:
    """What faults of a worker's line share."""

    needs: str | None = None
    brokers = frozenset({1, 3})
    pause_s = (3.0, 10.0)

    def ready(self, field: Field) -> None:
        pass

    def close(self) -> None:
        pass


class _OnProxy(_OnLine):
    """What the proxy does to the lines that pass through it, until it is mended."""

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        slot = at_work(field, BEHIND_PROXY)
        field.affects(slot, field.owned(slot), reach="brokers")
        proxy = _network(field).proxy
        before = proxy.touched
        self._spoil(proxy, rng)

        def heal() -> None:
            met = field.until(lambda: proxy.touched > before, EFFECT_S)
            proxy.mend()
            if not met:
                raise Missed("nothing passed that it could have met")

        return heal

    def _spoil(self, proxy: Proxy, rng: random.Random) -> None:
        raise NotImplementedError


class ReplyLost(_OnProxy):
    """The broker did what it was asked; the client never hears of it."""

    def __init__(self, name: str, kind: int) -> None:
        self.name = name
        self._kinds = frozenset({kind})

    def _spoil(self, proxy: Proxy, rng: random.Random) -> None:
        hang_up = rng.random() < 0.5
        times = rng.randint(1, 5)
        proxy.rules = [Rule("reply", self._kinds, drop=True, hang_up=hang_up, times=times)]


class ReplyLate(_OnProxy):
    """Replies come after the client has stopped waiting, or shortly before."""

    def __init__(self, name: str, kind: int) -> None:
        self.name = name
        self._kinds = frozenset({kind})

    def _spoil(self, proxy: Proxy, rng: random.Random) -> None:
        proxy.rules = [Rule("reply", self._kinds, delay_s=rng.uniform(0.5, 6.0), share=0.5)]


class RequestLate(_OnProxy):
    """A request arrives when its client has hung up and gone on."""

    def __init__(self, name: str, kind: int) -> None:
        self.name = name
        self._kinds = frozenset({kind})

    def _spoil(self, proxy: Proxy, rng: random.Random) -> None:
        delay_s, times = rng.uniform(1.0, 6.0), rng.randint(1, 4)
        proxy.rules = [Rule("request", self._kinds, delay_s=delay_s, hang_up=True, times=times)]


class LineHeld(_OnProxy):
    """Nothing passes, and connections stay: packets are lost."""

    name = "line-held"

    def _spoil(self, proxy: Proxy, rng: random.Random) -> None:
        proxy.hold()


class LineRefused(_OnProxy):
    """Every connection ends, each new one at once."""

    name = "line-refused"

    def _spoil(self, proxy: Proxy, rng: random.Random) -> None:
        proxy.refuse()


class _OnWire(_OnLine):
    """In network namespaces: what happens to packets."""

    def __init__(self) -> None:
        self.needs = namespaces.needs()


class WireCut(_OnWire):
    """The wire is down: packets are lost both ways."""

    name = "wire-cut"

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        wire = _wire(field)
        wire.cut()
        return wire.mend


class WireLossy(_OnWire):
    """A share of the packets is lost."""

    name = "wire-lossy"

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        wire = _wire(field)
        wire.lose(rng.uniform(*LOSS))
        return wire.mend


class WireSlow(_OnWire):
    """Each packet takes longer."""

    name = "wire-slow"

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        wire = _wire(field)
        wire.slow_down()
        return wire.mend


class ClockAhead(_OnLine):
    """One more worker joins, its clock an hour ahead."""

    name = "clock-ahead"
    pause_s = (5.0, 12.0)

    def __init__(self) -> None:
        self.needs = skew.needs()

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects(SKEWED)
        field.clocks_ahead_micros[SKEWED] = HOUR_S * 1_000_000
        environment = skew.ahead(HOUR_S, field.scratch)
        field.start(SKEWED, Launch(environment=environment))
        joined = field.wait_for(SKEWED, BACK_S)

        def heal() -> None:
            field.end(SKEWED)
            if not joined:
                raise Missed(f"the worker owned nothing within {BACK_S:.0f} s")

        return heal


def network_faults() -> list[_OnLine]:
    """One of each kind."""
    return [
        ReplyLost("end-txn-reply-lost", END_TXN),
        ReplyLost("txn-offset-commit-reply-lost", TXN_OFFSET_COMMIT),
        ReplyLate("end-txn-reply-late", END_TXN),
        ReplyLate("txn-offset-commit-reply-late", TXN_OFFSET_COMMIT),
        RequestLate("end-txn-arrives-late", END_TXN),
        RequestLate("txn-offset-commit-arrives-late", TXN_OFFSET_COMMIT),
        LineHeld(),
        LineRefused(),
        WireCut(),
        WireLossy(),
        WireSlow(),
        ClockAhead(),
    ]


def _network(field: Field) -> Network:
    return cast(Network, field.ground)


def _wire(field: Field) -> namespaces.Namespaces:
    slot = at_work(field, IN_NAMESPACE)
    field.affects(slot, field.owned(slot), reach="brokers")
    wire = _network(field).wire
    assert wire is not None, "the fault says what it needs"
    return wire
