"""The memory log: clients for the runtime, controls for tests."""

from __future__ import annotations

from streams.ports import Clock, Committed
from streams.testing.memory.admin import MemoryAdmin
from streams.testing.memory.broker import Broker, Lateness
from streams.testing.memory.calls import Client, Fault
from streams.testing.memory.consumer import MemoryGroupConsumer
from streams.testing.memory.idempotent import MemoryProducer
from streams.testing.memory.reader import MemoryReader
from streams.testing.memory.storage import StoredRecord
from streams.testing.memory.transactional import MemoryTransactionalProducer

SESSION_S = 6.0
TRANSACTION_S = 5.0


class MemoryLog:
    """Implements :class:`~streams.ports.Log` in memory, for one thread or event loop.

    Nothing is random, and time is the clock's: the same calls at the same times
    give the same log. ``faults`` are asked around every call of every client.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        session_s: float = SESSION_S,
        transaction_s: float = TRANSACTION_S,
        idle_s: float = 0.0,
    ) -> None:
        """With ``idle_s`` a stepper whose ``consume`` finds nothing waits so long in it."""
        self._broker = Broker(clock, session_s, transaction_s, idle_s)
        self._process = ""
        self._admin = MemoryAdmin(self._broker, Client("admin"))

    def process(self, name: str) -> MemoryLog:
        """The same log as a process of this name sees it: faults can tell whose call it is.

        :meth:`freeze`, :meth:`thaw` and :meth:`kill` take the name for all clients of it.
        """
        log = MemoryLog.__new__(MemoryLog)
        log._broker, log._process = self._broker, name
        log._admin = MemoryAdmin(self._broker, Client("admin", name))
        return log

    @property
    def faults(self) -> list[Fault]:
        """The faults in force: add and remove at will."""
        return self._broker.faults.hooks

    def group_consumer(
        self, *, group: str, topic: str, client_id: str, slot: str | None
    ) -> MemoryGroupConsumer:
        """A consumer; with a ``slot`` it is a static member of that instance id."""
        client = self._broker.client(client_id, self._process)
        return MemoryGroupConsumer(self._broker, client, group, topic, slot or "")

    def transactional_producer(
        self, transactional_id: str, *, group: str
    ) -> MemoryTransactionalProducer:
        client = self._broker.client(transactional_id, self._process)
        return MemoryTransactionalProducer(self._broker, client, group)

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self._broker, self._broker.client("producer", self._process))

    def reader(self) -> MemoryReader:
        return MemoryReader(self._broker, Client("reader", self._process))

    def admin(self) -> MemoryAdmin:
        return self._admin

    def freeze(self, name: str, *, joining: bool = False) -> None:
        """The clients of this id or process send no heartbeats and receive nothing, as if stopped.

        Past the session their members are expelled. Their other calls are not refused: whoever
        freezes a process does not run it. ``joining``: they were about to join, and join anew
        without a loss, keeping what they had.
        """
        now = self._broker.advance()
        for client in self._clients(name):
            if client.silent_since is None:
                client.silent_since, client.joining = now, joining

    def changes(self, client_id: str) -> bool:
        """Whether the group of this consumer is between two generations."""
        return any(
            group.rebalancing_since is not None
            for group in self._broker.groups.values()
            for member in group.members.values()
            if member.client.id == client_id
        )

    def thaw(self, name: str) -> None:
        """Frozen clients of this id or process go on; ``consume`` tells them what they missed."""
        self._broker.advance()
        for client in self._clients(name):
            client.silent_since = None

    def kill(self, name: str) -> None:
        """The clients of this id or process are gone at once, as after SIGKILL.

        A member stays until its session ends, a transaction until its time-out. Closing a dead
        client does nothing; its other calls raise ``_DESTROY``.
        """
        self.freeze(name)
        for client in self._clients(name):
            client.dead = True

    def delay(
        self, transactional_id: str, method: str, seconds: float, *, again: bool = False
    ) -> None:
        """The next ``commit`` or ``send_offsets`` of this id arrives late, after its time-out.

        The call fails with ``_TIMED_OUT``; then the request takes effect, unless a producer of
        the same id was initialised meanwhile. If another transaction of the same producer is open
        by then it acts on that one: the brokers' protocol does not tell the two apart. ``again``:
        the connection is reset instead, and the client has sent it again before it arrives.
        """
        self._broker.late[transactional_id, method] = Lateness(seconds, again)

    def forget(self, transactional_id: str) -> None:
        """What is open of this id counts as ended, but its partitions are not told.

        So does Kafka 4.4.0 if all brokers are stopped between the decision and its markers.
        """
        self._broker.transactional_id(transactional_id).forget()

    def misread(self, group: str, topic: str, partition: int, metadata: str) -> None:
        """The next look at this committed offset finds other metadata, once."""
        found = self._broker.group(group).offsets.get((topic, partition))
        if found is not None:
            self._broker.misread[group, topic, partition] = Committed(found.offset, metadata)

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Move the log start of a partition to an offset, as retention does."""
        self._broker.storage.partition(topic, partition).delete_before(offset)

    def records(self, topic: str, partition: int) -> list[StoredRecord]:
        """What a partition holds that is committed, from its start."""
        place = self._broker.storage.partition(topic, partition)
        return place.read(place.start, place.end)[0]

    def hang(self, transactional_id: str, group: str, topic: str, partition: int) -> None:
        """An offset of this id arrives after the end of its transaction, and holds its place."""
        holder = self._broker.transactional_id(transactional_id).producer_id
        self._broker.group(group).unstable.setdefault((topic, partition), set()).add(holder)

    def undelete(self) -> None:
        """Put back what :meth:`delete_before` took, so that a check can read everything."""
        for topic in self._broker.storage.topics.values():
            for partition in topic.partitions:
                partition.undelete()

    def delete_topic(self, topic: str) -> None:
        """Remove a topic with all its records."""
        self._broker.storage.partition(topic, 0)
        del self._broker.storage.topics[topic]

    def _clients(self, name: str) -> list[Client]:
        clients = self._broker.clients
        return [c for c in clients if name in (c.id, c.process) and not c.dead]
