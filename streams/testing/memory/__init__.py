"""A log in memory that behaves as Kafka does where the runtime can tell."""

from streams.testing.memory.calls import Call, Fault
from streams.testing.memory.log import MemoryLog

__all__ = ["Call", "Fault", "MemoryLog"]
