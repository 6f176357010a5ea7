"""The producer outside transactions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from streams.errors import LogError
from streams.ports import Headers
from streams.testing.memory.broker import Broker
from streams.testing.memory.calls import Client

Delivered = Callable[[LogError | None], None]


class MemoryProducer:
    """Implements :class:`~streams.ports.Producer`: records are in the log at once, their
    reports wait for ``poll`` or ``flush``."""

    def __init__(self, broker: Broker, client: Client) -> None:
        self._broker = broker
        self._client = client
        self._reports: deque[tuple[Delivered, LogError | None]] = deque()

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        on_delivery: Delivered | None = None,
    ) -> None:
        self._client.require_alive()
        self._broker.advance()
        args = (topic, partition, key, value, headers)
        outcome: LogError | None = None
        with self._broker.faults.around(self._client, "produce", *args):
            try:
                with self._broker.faults.around(self._client, "deliver", *args):
                    self._broker.append((topic, partition), key, value, headers)
            except LogError as error:
                outcome = error
        if on_delivery is not None:
            self._reports.append((on_delivery, outcome))

    def poll(self, timeout_s: float) -> int:
        """Serve delivery callbacks; returns how many."""
        served = 0
        while self._reports:
            report, outcome = self._reports.popleft()
            report(outcome)
            served += 1
        return served

    def flush(self, timeout_s: float) -> int:
        """Serve every report; nothing is ever under way."""
        self.poll(timeout_s)
        return 0

    def close(self) -> None:
        self.poll(0)
        self._client.dead = True
