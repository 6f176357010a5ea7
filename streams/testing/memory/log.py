"""The memory log: clients for the runtime, controls for tests."""

from __future__ import annotations

from streams.ports import Clock
from streams.testing.memory.admin import MemoryAdmin
from streams.testing.memory.broker import Broker
from streams.testing.memory.calls import Client, Fault
from streams.testing.memory.consumer import MemoryGroupConsumer
from streams.testing.memory.idempotent import MemoryProducer
from streams.testing.memory.reader import MemoryReader
from streams.testing.memory.transactional import MemoryTransactionalProducer

SESSION_S = 6.0
TRANSACTION_S = 5.0


class MemoryLog:
    """Implements :class:`~streams.ports.Log` in memory, for one thread or event loop.

    Nothing waits, nothing is random, and time is the clock's: the same calls at the same times
    give the same log. ``faults`` are asked around every call of every client.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        session_s: float = SESSION_S,
        transaction_s: float = TRANSACTION_S,
    ) -> None:
        self._broker = Broker(clock, session_s, transaction_s)
        self._admin = MemoryAdmin(self._broker)

    @property
    def faults(self) -> list[Fault]:
        """The faults in force: add and remove at will."""
        return self._broker.faults.hooks

    def group_consumer(
        self, *, group: str, topic: str, client_id: str, slot: str | None
    ) -> MemoryGroupConsumer:
        """A consumer; with a ``slot`` it is a static member of that instance id."""
        client = self._broker.client(client_id)
        return MemoryGroupConsumer(self._broker, client, group, topic, slot or "")

    def transactional_producer(
        self, transactional_id: str, *, group: str
    ) -> MemoryTransactionalProducer:
        client = self._broker.client(transactional_id)
        return MemoryTransactionalProducer(self._broker, client, group)

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self._broker, Client("producer"))

    def reader(self) -> MemoryReader:
        return MemoryReader(self._broker)

    def admin(self) -> MemoryAdmin:
        return self._admin

    def freeze(self, client_id: str) -> None:
        """The clients of this id send no heartbeats and receive nothing, as if stopped.

        Past the session their members are expelled. Their other calls are not refused: whoever
        freezes a process does not run it.
        """
        now = self._broker.advance()
        for client in self._broker.clients.get(client_id, ()):
            if client.silent_since is None:
                client.silent_since = now

    def thaw(self, client_id: str) -> None:
        """Frozen clients of this id go on; they learn in ``consume`` what they missed."""
        self._broker.advance()
        for client in self._broker.clients.get(client_id, ()):
            if not client.dead:
                client.silent_since = None

    def kill(self, client_id: str) -> None:
        """The clients of this id are gone at once, as after SIGKILL.

        A member stays until its session ends, a transaction until its time-out. Closing a dead
        client does nothing; its other calls raise ``_DESTROY``.
        """
        self.freeze(client_id)
        for client in self._broker.clients.pop(client_id, ()):
            client.dead = True

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Move the log start of a partition to an offset, as retention does."""
        self._broker.storage.partition(topic, partition).delete_before(offset)

    def delete_topic(self, topic: str) -> None:
        """Remove a topic with all its records."""
        self._broker.storage.partition(topic, 0)
        del self._broker.storage.topics[topic]
