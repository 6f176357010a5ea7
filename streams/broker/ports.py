"""Free TCP ports for brokers."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

from streams.broker.config import HOST
from streams.errors import KafkaFailed

# Below the ranges that systems give to outgoing connections: a port that is free stays free
# until the broker listens, also while a killed broker waits for its restart.
_RANGE = range(20_000, 32_000)
_TRIES_MAX = 1_000


def is_free(port: int) -> bool:
    """Whether nothing listens on the port."""
    with socket.socket() as probe:
        # Old connections in TIME_WAIT do not keep a broker from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) != 0


def is_open(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def free_ports(count: int, first: int | None = None) -> list[int]:
    """``count`` different free ports: the first ones from ``first`` up, else any."""
    found: list[int] = []
    for port in _candidates(first):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise KafkaFailed(f"no {count} free ports found", hint="end what listens on this machine")


def _candidates(first: int | None) -> Iterator[int]:
    if first is None:
        yield from random.sample(_RANGE, _TRIES_MAX)
    else:
        yield from range(first, min(first + _TRIES_MAX, 65_536))
