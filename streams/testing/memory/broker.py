"""The broker in memory: what all clients of one log share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from streams.ports import Clock, Committed, Headers
from streams.testing.memory.calls import Client, Faults
from streams.testing.memory.groups import Group
from streams.testing.memory.storage import Storage, StoredRecord
from streams.testing.memory.transactions import TransactionalId


class Lateness(NamedTuple):
    """By how much a request is late, and whether its client has sent it again by then."""

    seconds: float
    again: bool


class Broker:
    """Topics, groups and transactional ids under one clock.

    Time-outs are applied by :meth:`advance`, which every call begins with: there is no
    background work.
    """

    def __init__(self, clock: Clock, session_s: float, transaction_s: float, idle_s: float) -> None:
        self.clock = clock
        self.session_s = session_s
        self.transaction_s = transaction_s
        self.idle_s = idle_s
        self.faults = Faults()
        self.storage = Storage()
        self.groups: dict[str, Group] = {}
        self.transactional_ids: dict[str, TransactionalId] = {}
        self.clients: list[Client] = []
        self.late: dict[tuple[str, str], Lateness] = {}
        """How late the next request of (transactional id, method) is."""
        self.misread: dict[tuple[str, str, int], Committed] = {}
        """What the next look at an offset of (group, topic, partition) gives instead."""
        self._under_way: list[tuple[float, Callable[[], None]]] = []
        self._advanced_at = -1.0

    @property
    def timestamp_ms(self) -> int:
        return self.clock.now_micros() // 1000

    def advance(self) -> float:
        """Apply every time-out and late request that is due; returns the time."""
        now = self.clock.monotonic()
        if now == self._advanced_at:
            return now
        self._advanced_at = now
        if self._under_way:
            due = [arrive for at, arrive in self._under_way if at <= now]
            self._under_way = [(at, arrive) for at, arrive in self._under_way if at > now]
            for arrive in due:
                arrive()
        for known in self.transactional_ids.values():
            if known.open is not None and now - known.open.started >= self.transaction_s:
                known.epoch += 1
                known.finish(commit=False, timestamp_ms=self.timestamp_ms)
        for group in self.groups.values():
            group.advance(now, self.session_s)
        return now

    def client(self, client_id: str, process: str) -> Client:
        """A new client of a process; others of the same id stay as they are."""
        client = Client(client_id, process)
        self.clients = [*(known for known in self.clients if not known.dead), client]
        return client

    def take_late(self, client: Client, method: str, arrive: Callable[[], None]) -> Lateness | None:
        """Whether this request is late: then it arrives by itself, when its time has come."""
        late = self.late.pop((client.id, method), None)
        if late is not None:
            self._under_way.append((self.clock.monotonic() + late.seconds, arrive))
        return late

    def group(self, name: str) -> Group:
        return self.groups.setdefault(name, Group(name, self.storage))

    def transactional_id(self, name: str) -> TransactionalId:
        known = self.transactional_ids.get(name)
        if known is None:
            known = TransactionalId(name, producer_id=len(self.transactional_ids) + 1)
            self.transactional_ids[name] = known
        return known

    def append(
        self,
        place: tuple[str, int],
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        transaction: TransactionalId | None = None,
    ) -> StoredRecord:
        """Append a record; LogError if topic, partition or size are refused."""
        partition = self.storage.partition_for(*place, key, value, headers)
        producer_id = None if transaction is None else transaction.producer_id
        record = partition.append(key, value, headers, self.timestamp_ms, producer_id)
        if transaction is not None:
            transaction.add_record(partition, record, self.clock.monotonic())
        return record
