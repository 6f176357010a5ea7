"""Faults of the network between one worker and the brokers, in a proxy or on a wire of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from streams.broker.config import Node

from . import namespaces
from .fault import Fault, Field, Heal, Launch
from .listeners import Listener
from .namespaces import Namespaces
from .proxy import END_TXN, FETCH, TXN_OFFSET_COMMIT, Proxy, Rule


class Way:
    """How one worker reaches the brokers: through a proxy, and with ``wired`` over a wire to it.

    It is shared by several faults: what the first of them opens is there for the others.
    """

    def __init__(self, slot: str, *, wired: bool = False) -> None:
        self.slot = slot
        self._wired = wired
        self._stack = ExitStack()
        self._listeners: dict[int, Listener] = {}
        self._proxy: Proxy | None = None
        self._wire: Namespaces | None = None

    @property
    def proxy(self) -> Proxy:
        assert self._proxy is not None, "not equipped"
        return self._proxy

    @property
    def wire(self) -> Namespaces:
        assert self._wire is not None, "no wire"
        return self._wire

    def open(self, brokers: int) -> None:
        """Make the way, if it is not there."""
        if self._proxy is not None:
            return
        name = self.slot.upper()
        if self._wired:
            self._wire = self._stack.enter_context(Namespaces())
            proxy = Proxy(brokers, name=name, open_socket=self._wire.open_socket)
        else:
            proxy = Proxy(brokers, name=name)
        self._proxy = self._stack.enter_context(proxy)

    def use(self, proxy: Proxy) -> None:
        """Take a proxy that is there already, which somebody else ends."""
        self._proxy = proxy

    def listener(self, node: Node) -> Listener:
        """The broker's end of it, the same for every fault while the broker keeps its port."""
        known = self._listeners.get(node.port)
        if known is None:
            known = self._listeners[node.port] = self.proxy.listener(node)
        return known

    def start(self, field: Field) -> None:
        """Start its worker, if none runs."""
        if field.pid(self.slot) is None:
            wrap = self._wire.wrap if self._wire is not None else ()
            field.start(self.slot, Launch(bootstrap=self.proxy.bootstrap, wrap=wrap))

    def close(self) -> None:
        """Take it away, if it is there."""
        self._stack.close()
        self._proxy = self._wire = None
        self._listeners.clear()


class Damage(NamedTuple):
    """A kind of damage to a way: drawn and done by ``do``, undone by ``undo``."""

    name: str
    pause_s: tuple[float, float]
    do: Callable[[Way, random.Random], None]
    undo: Callable[[Way], None]


class NetworkFault:
    """Implements ``Fault`` and ``Equipped`` for one kind of damage to a way."""

    def __init__(self, way: Way, damage: Damage, needs: str | None) -> None:
        self.name = damage.name
        self.needs = needs
        self.brokers = frozenset({1, 3})
        self.pause_s = damage.pause_s
        self._way = way
        self._damage = damage

    def equip(self, brokers: int) -> None:
        self._way.open(brokers)

    def listeners(self, node: Node) -> Sequence[Listener]:
        return [self._way.listener(node)]

    def ready(self, field: Field) -> None:
        self._way.start(field)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        slot = self._way.slot
        field.affects(slot, field.owned(slot))
        self._damage.do(self._way, rng)
        return lambda: self._damage.undo(self._way)

    def close(self) -> None:
        self._way.close()


def network_faults() -> list[Fault]:
    """One of each kind. Those in the proxy share a worker, those on the wire another."""
    proxied, wired = Way("proxied"), Way("wired", wired=True)
    needs = namespaces.needs()
    return [
        *(NetworkFault(proxied, damage, None) for damage in IN_PROXY),
        *(NetworkFault(wired, damage, needs) for damage in ON_WIRE),
    ]


def _mend_proxy(way: Way) -> None:
    way.proxy.mend()


def _mend_wire(way: Way) -> None:
    way.wire.mend()


def _lose_reply(kind: int) -> Callable[[Way, random.Random], None]:
    def lose(way: Way, rng: random.Random) -> None:
        """The broker did it, and the client does not hear of it: a time-out or an end."""
        hang_up, times = rng.random() < 0.5, rng.randint(1, 3)
        way.proxy.rules = [
            Rule("reply", frozenset({kind}), drop=True, hang_up=hang_up, times=times)
        ]

    return lose


def _delay_end(way: Way, rng: random.Random) -> None:
    """Some arrive when their client has given up, and has ended the transaction by another."""
    delay_s = rng.uniform(0.2, 8.0)
    way.proxy.rules = [
        Rule("request", frozenset({END_TXN}), delay_s=delay_s, times=rng.randint(1, 3))
    ]


def _delay_replies(way: Way, rng: random.Random) -> None:
    way.proxy.rules = [Rule("reply", delay_s=rng.uniform(0.02, 0.4))]


def _lose_replies(way: Way, rng: random.Random) -> None:
    way.proxy.rules = [Rule("reply", drop=True, share=rng.choice((0.01, 0.1, 1.0)))]


def _lose_connections(way: Way, rng: random.Random) -> None:
    way.proxy.rules = [Rule("reply", hang_up=True, share=rng.choice((0.005, 0.02, 0.1)))]


IN_PROXY = (
    Damage("lose-reply-to-endtxn", (2.0, 8.0), _lose_reply(END_TXN), _mend_proxy),
    Damage("lose-reply-to-offsets", (2.0, 8.0), _lose_reply(TXN_OFFSET_COMMIT), _mend_proxy),
    Damage("lose-reply-to-fetch", (2.0, 8.0), _lose_reply(FETCH), _mend_proxy),
    Damage("delay-endtxn", (4.0, 10.0), _delay_end, _mend_proxy),
    Damage("delay-replies", (3.0, 8.0), _delay_replies, _mend_proxy),
    Damage("lose-replies", (2.0, 9.0), _lose_replies, _mend_proxy),
    Damage("lose-connections", (3.0, 8.0), _lose_connections, _mend_proxy),
    Damage("hold-network", (1.0, 12.0), lambda way, _: way.proxy.hold(), _mend_proxy),
    Damage("refuse-network", (1.0, 12.0), lambda way, _: way.proxy.refuse(), _mend_proxy),
)
ON_WIRE = (
    Damage("cut-wire", (2.0, 12.0), lambda way, _: way.wire.cut(), _mend_wire),
    Damage(
        "lossy-wire", (4.0, 9.0), lambda way, r: way.wire.lose(r.uniform(0.05, 0.2)), _mend_wire
    ),
    Damage("slow-wire", (4.0, 9.0), lambda way, _: way.wire.slow_down(), _mend_wire),
)
