"""Reading by assignment, without a group."""

from __future__ import annotations

from collections.abc import Mapping

from streams.errors import LogError
from streams.ports import Consumed, TopicPartition
from streams.testing.memory.broker import Broker
from streams.testing.memory.calls import Client
from streams.testing.memory.fetch import Fetcher
from streams.testing.runner import idle


class MemoryReader:
    """Implements :class:`~streams.ports.Reader`; ``consume`` never waits.

    A partition that is assigned again with the offset it was assigned with before goes on
    where it is; with another offset it starts there.
    """

    def __init__(self, broker: Broker, client: Client) -> None:
        self._broker = broker
        self._client = client
        self._fetcher = Fetcher(broker.storage)
        self._assigned: dict[TopicPartition, int] = {}

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions, each from its offset; replaces what was assigned."""
        old, new = self._assigned.items(), offsets.items()
        self._fetcher.drop(frozenset(place for place, _ in old - new))
        self._fetcher.add(dict(new - old))
        self._assigned = dict(offsets)

    def consume(self, records_max: int, timeout_s: float) -> Consumed:
        self._broker.advance()
        args = (records_max, timeout_s)
        try:
            self._broker.faults.tell(self._client, "consume", args, applied=False)
        except LogError as error:
            return Consumed((), [error])
        fetched = self._fetcher.fetch(records_max)
        if not any(fetched):
            idle(min(timeout_s, self._broker.idle_s))
        return Consumed(*fetched)

    def close(self) -> None:
        self._fetcher.drop()
