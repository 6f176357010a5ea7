"""A second way into each broker, so that workers go through a fault and the verdict does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.broker.config import HOST, Node


class Listener(NamedTuple):
    """Where a broker listens on loopback, and what address it gives to who comes in there."""

    name: str
    port: int
    advertised: str
    """``host:port``"""


def settings(node: Node, extra: Sequence[Listener]) -> dict[str, str]:
    """The settings of a broker that has these listeners besides its own."""
    own = {"PLAINTEXT": node.port, "CONTROLLER": node.controller_port}
    ports = own | {listener.name: listener.port for listener in extra}
    advertised = {"PLAINTEXT": f"{HOST}:{node.port}"} | {e.name: e.advertised for e in extra}
    return {
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(f"{name}://{at}" for name, at in advertised.items()),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ports),
    }
