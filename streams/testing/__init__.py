"""What users' tests need: a fleet of agents, a real Kafka. Imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.testing.fleet import Fleet
    from streams.testing.kafka import Kafka

__all__ = ["Fleet", "Kafka"]

_HOMES = {"Fleet": "streams.testing.fleet", "Kafka": "streams.testing.kafka"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
