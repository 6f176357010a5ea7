"""Transactions as the coordinator sees them: producer ids, epochs, open transactions."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.errors import LogError
from streams.ports import Committed
from streams.testing.memory.groups import Group
from streams.testing.memory.storage import Partition, StoredRecord


@dataclass(eq=False)
class OpenTransaction:
    """What a transaction has written so far."""

    started: float
    records: list[tuple[Partition, StoredRecord]] = field(
        default_factory=list[tuple[Partition, StoredRecord]]
    )
    offsets: list[tuple[Group, str, int, Committed]] = field(
        default_factory=list[tuple[Group, str, int, Committed]]
    )


@dataclass(eq=False)
class TransactionalId:
    """A transactional id: one producer id, and the epoch that fences older producers."""

    name: str
    producer_id: int
    epoch: int = -1
    open: OpenTransaction | None = None

    def check(self, epoch: int) -> None:
        """Raise the fatal ``_FENCED`` for a producer of an older epoch."""
        if epoch != self.epoch:
            raise LogError("_FENCED", f"{self.name}: fenced by a newer epoch", fatal=True)

    def transaction(self, now: float) -> OpenTransaction:
        """The open transaction; the coordinator opens it with the first thing written."""
        if self.open is None:
            self.open = OpenTransaction(now)
        return self.open

    def add_record(self, partition: Partition, record: StoredRecord, now: float) -> None:
        self.transaction(now).records.append((partition, record))

    def add_offset(
        self, group: Group, topic: str, partition: int, committed: Committed, now: float
    ) -> None:
        group.unstable.setdefault((topic, partition), set()).add(self.producer_id)
        self.transaction(now).offsets.append((group, topic, partition, committed))

    def forget(self) -> None:
        """The coordinator takes the open transaction for ended, and no partition hears of it."""
        self.open = None

    def finish(self, *, commit: bool, timestamp_ms: int) -> None:
        """End the open transaction, if there is one: markers, visibility, offsets."""
        done, self.open = self.open, None
        if done is None:
            return
        for partition in dict.fromkeys(partition for partition, _ in done.records):
            partition.end_transaction(self.producer_id, timestamp_ms, commit=commit)
        for group in dict.fromkeys(group for group, *_ in done.offsets):
            group.release(self.producer_id)
        for group, topic, number, committed in done.offsets:
            if commit:
                group.commit(topic, number, committed)
