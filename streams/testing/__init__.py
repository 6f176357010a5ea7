"""What users' tests need: agents in memory, faults, a real Kafka. Imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.testing.faults import crash_after, crash_before
    from streams.testing.fleet import Fleet
    from streams.testing.kafka import Kafka
    from streams.testing.plans import storm

__all__ = ["Fleet", "Kafka", "crash_after", "crash_before", "storm"]

_HOMES = {
    "Fleet": "streams.testing.fleet",
    "Kafka": "streams.testing.kafka",
    "crash_after": "streams.testing.faults",
    "crash_before": "streams.testing.faults",
    "storm": "streams.testing.plans",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
