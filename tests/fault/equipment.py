"""What some faults need before the brokers start: another way in, another disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from streams.broker.config import Node, Properties

from .fault import Fault
from .listeners import Listener, settings


@runtime_checkable
class Equipped(Protocol):
    """A fault that changes how brokers are started. Its ``close`` gives back what it holds."""

    def equip(self, brokers: int) -> None:
        """Called once per deployment before its brokers are started."""
        ...

    def listeners(self, node: Node) -> Sequence[Listener]:
        """Listeners of this broker beside its own; several faults may share one."""
        ...


def equip(faults: Sequence[Fault], brokers: int) -> Properties:
    """Prepare what these faults need; the settings with which the brokers are to be started."""
    equipped = [fault for fault in faults if isinstance(fault, Equipped)]
    for fault in equipped:
        fault.equip(brokers)

    def properties(node: Node) -> Mapping[str, str]:
        extra = {listener.name: listener for f in equipped for listener in f.listeners(node)}
        return settings(node, list(extra.values()))

    return properties
