"""The ground on which storms are: what stands between workers and brokers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from streams.broker.config import Node

from . import namespaces
from .fault import PLAIN, Ground, Launch
from .listeners import settings
from .namespaces import Namespaces
from .proxy import Proxy

BEHIND_PROXY, IN_NAMESPACE = "b", "c"
"""Slots whose workers reach the brokers through something; the others see them directly."""


class Network:
    """One worker behind a proxy, and one, where that can be made, in a network namespace."""

    def __init__(self, proxy: Proxy, wire: Namespaces | None, gate: Proxy | None) -> None:
        self.proxy = proxy
        self.wire = wire
        self._gate = gate

    def properties(self, node: Node) -> Mapping[str, str]:
        """Each broker's listeners for the proxies."""
        proxies = [self.proxy, *([self._gate] if self._gate is not None else [])]
        return settings(node, [proxy.listener(node) for proxy in proxies])

    def launch(self, slot: str) -> Launch:
        if slot == BEHIND_PROXY:
            return Launch(bootstrap=self.proxy.bootstrap)
        if slot == IN_NAMESPACE and self.wire is not None and self._gate is not None:
            return Launch(bootstrap=self._gate.bootstrap, wrap=self.wire.wrap)
        return PLAIN


@contextmanager
def ground_of(brokers: int, seed: str) -> Iterator[Ground]:
    """The ground for a cluster of this size; ``seed`` is for what it does by chance."""
    number = sum(seed.encode())
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(brokers, seed=number))
        wire = gate = None
        if namespaces.needs() is None:
            wire = stack.enter_context(Namespaces())
            gate = Proxy(brokers, name="WIRE", open_socket=wire.open_socket)
            stack.enter_context(gate)
        yield Network(proxy, wire, gate)
