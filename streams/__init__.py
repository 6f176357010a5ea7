"""Agents as exactly-once Kafka consumers.

What needs the Kafka client, pydantic or Avro is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazy: as a submodule of the same name, `streams.agent` would take the function's place.
from streams.address import Address
from streams.agent import Agent, agent
from streams.context import Context, dependency
from streams.errors import (
    PermanentError,
    RetryAfter,
    StreamsError,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
)
from streams.policies import Retry

if TYPE_CHECKING:
    from streams.client import Batch, Client, Handle
    from streams.records import Result, Task
    from streams.worker import Worker

__all__ = [
    "Address",
    "Agent",
    "Batch",
    "Client",
    "Context",
    "Handle",
    "PermanentError",
    "Result",
    "Retry",
    "RetryAfter",
    "StreamsError",
    "Task",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "Worker",
    "agent",
    "dependency",
]

_LAZY = {
    "Batch": "streams.client",
    "Client": "streams.client",
    "Handle": "streams.client",
    "Result": "streams.records",
    "Task": "streams.records",
    "Worker": "streams.worker",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'streams' has no attribute '{name}'")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
