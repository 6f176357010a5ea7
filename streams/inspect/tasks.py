"""Tasks and their results, found by reading a bounded stretch of the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from streams.catalog import Catalog, read_from
from streams.errors import AgentUnknown, RecordUndecodable, TaskUnknown
from streams.ids import partition_of, task_time_ms
from streams.inspect.places import iso
from streams.inspect.show import Decoder, fields_of
from streams.ports import Clock, Log
from streams.records import Result, Task
from streams.topics import Topics

R = TypeVar("R", Task, Result[Any])

ROWS_MAX = 100_000
"""Tasks kept in memory while listing; the earliest are left out beyond it."""
SKEW_MS = 60_000
"""By how much the clock of a submitter may be ahead of the log's."""


@dataclass(slots=True)
class Read:
    """What a look-up has read, to be told to who asked."""

    records: int = 0
    topics: tuple[str, ...] = ()
    partitions: int = 0
    since_ms: int = 0
    left_out: int = 0

    def __str__(self) -> str:
        since = f"since {iso(self.since_ms * 1000)}" if self.since_ms > 0 else "from the beginning"
        left = f"; the earliest {self.left_out} are left out" if self.left_out else ""
        return (
            f"read {self.records} records of {' and '.join(self.topics)} "
            f"({self.partitions} partitions each) {since}{left}"
        )


class Tasks:
    """Looks up the tasks of one agent; every method blocks. AgentUnknown without its topics."""

    def __init__(
        self, log: Log, topics: Topics, catalog: Catalog, clock: Clock, agent: str
    ) -> None:
        self._log = log
        self._clock = clock
        self._decoder = Decoder(catalog)
        self._tasks = topics.tasks(agent)
        self._results = topics.results(agent)
        self._agent = agent
        found = log.admin().topics([self._tasks, self._results])
        if len(found) < 2:
            raise AgentUnknown(f"agent '{agent}' has no topics here", hint="streams agent list")
        self.partitions = found[self._tasks].partitions
        self.read = Read(partitions=self.partitions)

    def get(self, task_id: str, key: str | None = None) -> dict[str, Any]:
        """The result of a task, or the task itself while it is open; TaskUnknown.

        With the ``key`` as submitted one partition is read, else all of them, from the time
        in the id on (from the start for an id that is no UUIDv7).
        """
        partitions = list(range(self.partitions))
        if key is not None:
            partitions = [partition_of(key.encode(), self.partitions)]
        since = max(0, (task_time_ms(task_id) or 0) - SKEW_MS)
        self.read = Read(partitions=len(partitions), since_ms=since)
        text = task_id.encode()
        result = self._find(self._results, partitions, since, text, Result)
        task = self._find(self._tasks, partitions, since, text, Task)
        if result is not None:
            asked = {"key": task.key, "input": fields_of(task)["input"]} if task else {}
            return fields_of(result) | asked
        if task is not None:
            return {"status": "open"} | fields_of(task)
        raise TaskUnknown(
            f"no task '{task_id}' of '{self._agent}' is in the log",
            hint="the log keeps tasks for some days; was the --key the one it was submitted with?"
            if key is not None
            else "the log keeps tasks for some days; is it a task of another agent?",
        )

    def rows(self, since_ms: int, status: str | None = None) -> list[dict[str, Any]]:
        """Tasks that were submitted or ended since a time, by submission; open ones too."""
        partitions = list(range(self.partitions))
        self.read = Read(partitions=self.partitions, since_ms=since_ms)
        found: dict[str, dict[str, Any]] = {}
        for task in self._records(self._tasks, partitions, since_ms, Task):
            found[task.task_id] = _open_row(task)
            self._bound(found)
        for result in self._records(self._results, partitions, since_ms, Result):
            earlier = found.get(result.task_id, {})
            found[result.task_id] = _ended_row(result) | {"key": earlier.get("key")}
            self._bound(found)
        rows = [row for row in found.values() if status in (None, row["status"])]
        return sorted(rows, key=lambda row: (row["submitted_at"], row["task_id"]))

    def redriven(self, since_ms: int) -> dict[str, list[str]]:
        """Task id → the tasks that were made of it again since a time."""
        partitions = list(range(self.partitions))
        found: dict[str, set[str]] = {}
        for task in self._records(self._tasks, partitions, since_ms, Task):
            if task.redrive_of:
                found.setdefault(task.redrive_of, set()).add(task.task_id)
        for result in self._records(self._results, partitions, since_ms, Result):
            if result.redrive_of:
                found.setdefault(result.redrive_of, set()).add(result.task_id)
        return {task_id: sorted(again) for task_id, again in found.items()}

    def _find(
        self, topic: str, partitions: list[int], since_ms: int, text: bytes, kind: type[R]
    ) -> R | None:
        for record in self._raw(topic, partitions, since_ms):
            # The id stands in the bytes as it is: decoding all would take many times longer.
            if text in record:
                found = self._decoded(record)
                if isinstance(found, kind) and found.task_id.encode() == text:
                    return found
        return None

    def _records(
        self, topic: str, partitions: list[int], since_ms: int, kind: type[R]
    ) -> Iterator[R]:
        for record in self._raw(topic, partitions, since_ms):
            found = self._decoded(record)
            if isinstance(found, kind):
                yield found

    def _raw(self, topic: str, partitions: list[int], since_ms: int) -> Iterator[bytes]:
        self.read.topics += (topic,)
        offsets = self._log.admin().offsets_at(topic, partitions, since_ms)
        for record in read_from(self._log, topic, offsets, self._clock):
            self.read.records += 1
            yield record.value() or b""

    def _decoded(self, data: bytes) -> object:
        try:
            return self._decoder.decode(data)
        except RecordUndecodable:
            return None  # a worker makes a dead letter of it

    def _bound(self, found: dict[str, dict[str, Any]]) -> None:
        if len(found) > ROWS_MAX:
            found.pop(next(iter(found)))
            self.read.left_out += 1


def _open_row(task: Task) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "status": "open",
        "submitted_at": iso(task.submitted_at),
        "finished_at": None,
        "took_s": None,
        "attempt": None,
        "key": task.key,
        "tenant": task.tenant,
        "worker": None,
        "cost_micros": None,
        "reason": "",
        "run_id": task.run_id,
        "redrive_of": task.redrive_of,
    }


def _ended_row(result: Result[bytes]) -> dict[str, Any]:
    return {
        "task_id": result.task_id,
        "status": result.status,
        "submitted_at": iso(result.submitted_at),
        "finished_at": iso(result.finished_at),
        "took_s": round((result.finished_at - result.submitted_at) / 1e6, 3),
        "attempt": result.attempt,
        "key": None,
        "tenant": result.tenant,
        "worker": result.worker_id,
        "cost_micros": result.cost_micros,
        "reason": result.reason,
        "run_id": result.run_id,
        "redrive_of": result.redrive_of,
    }
