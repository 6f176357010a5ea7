"""Dead letters: records that could not succeed, with what they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.catalog import Catalog, read_from
from streams.errors import AgentUnknown, LogError, NotFound, RecordUndecodable
from streams.inspect.places import iso
from streams.inspect.show import Decoder, fields_of
from streams.ports import Clock, Log, Record
from streams.records import DeadLetter, Task
from streams.topics import Topics

_PLACE = re.compile(r"(\d+)@(\d+)")


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter and where it is; ``task`` is the original, if it was a task."""

    partition: int
    offset: int
    letter: DeadLetter
    task: Task | None

    @property
    def id(self) -> str:
        """``partition@offset`` on the dead topic."""
        return f"{self.partition}@{self.offset}"

    def row(self, redriven: Sequence[str] = ()) -> dict[str, Any]:
        error = self.letter.error
        return {
            "agent": self.letter.agent,
            "id": self.id,
            "time": iso(self.letter.at),
            "task_id": self.letter.task_id,
            "reason": self.letter.reason,
            "error": f"{error.type}: {error.message}" if error else None,
            "attempts": self.letter.attempts,
            "tenant": self.letter.tenant,
            "redriven": len(redriven),
            "redriven_as": list(redriven),
        }


class Letters:
    """The dead letters of one agent; every method blocks. AgentUnknown without its topics."""

    def __init__(
        self, log: Log, topics: Topics, catalog: Catalog, clock: Clock, agent: str
    ) -> None:
        self._log = log
        self._clock = clock
        self._decoder = Decoder(catalog)
        self._agent = agent
        self._topic = topics.dead(agent)
        info = log.admin().topics([self._topic]).get(self._topic)
        if info is None:
            raise AgentUnknown(f"agent '{agent}' has no topics here", hint="streams agent list")
        self._partitions = info.partitions

    def since(self, since_ms: int) -> list[Letter]:
        """Those that were written since a time, in the order of time."""
        partitions = range(self._partitions)
        offsets = self._log.admin().offsets_at(self._topic, partitions, since_ms)
        found = self._letters(read_from(self._log, self._topic, offsets, self._clock))
        return sorted(found, key=lambda letter: (letter.letter.at, letter.partition, letter.offset))

    def find(self, id: str) -> Letter:
        """By ``partition@offset`` or by the task's id (the newest of it); NotFound."""
        place = _PLACE.fullmatch(id)
        if place is None:
            found = [each for each in self.since(0) if each.letter.task_id == id]
        else:
            partition, offset = int(place[1]), int(place[2])
            found = list(self._at(partition, offset)) if partition < self._partitions else []
        if not found:
            raise NotFound(
                f"no dead letter '{id}' is on '{self._topic}'",
                hint=f"streams dead list --agent {self._agent}",
            )
        return found[-1]

    def details(self, letter: Letter) -> dict[str, Any]:
        """The whole report, with the original decoded if it can be."""
        kind, original = self._decoder.value(self._original(letter.letter))
        return (
            {"id": letter.id}
            | fields_of(letter.letter)
            | {"original_kind": kind, "original": original}
        )

    def _at(self, partition: int, offset: int) -> Iterator[Letter]:
        records = read_from(
            self._log, self._topic, {partition: offset}, self._clock, {partition: offset + 1}
        )
        return self._letters(records)

    def _letters(self, records: Iterable[Record]) -> Iterator[Letter]:
        for record in records:
            letter = self._decoded(record.value())
            if isinstance(letter, DeadLetter):
                original = self._decoded(self._original(letter))
                task = original if isinstance(original, Task) else None
                yield Letter(record.partition(), record.offset(), letter, task)

    def _original(self, letter: DeadLetter) -> bytes | None:
        """The bytes of the dead record; from its own topic, if they did not fit into the letter."""
        if letter.value_hash is None:
            return letter.value
        partition, offset = letter.source_partition, letter.source_offset
        start, end = {partition: offset}, {partition: offset + 1}
        try:
            for record in read_from(self._log, letter.source_topic, start, self._clock, end):
                if record.offset() == offset:
                    return record.value()
        except LogError:
            pass  # its topic is gone
        return None

    def _decoded(self, data: bytes | None) -> object:
        try:
            return self._decoder.decode(data or b"")
        except RecordUndecodable:
            return None


def redrive_plan(
    letters: Iterable[Letter], redriven: Mapping[str, list[str]], *, named: bool = False
) -> list[tuple[Letter, dict[str, Any]]]:
    """What ``redrive`` does with each letter: ``submit`` or ``skip``, and why.

    What was redriven before is skipped, unless the letters were ``named`` one by one.
    """
    todo: list[tuple[Letter, dict[str, Any]]] = []
    seen: set[str] = set()
    for letter in letters:
        task_id = letter.letter.task_id
        again = redriven.get(letter.task.task_id) if letter.task is not None else None
        action, why = "skip", ""
        if letter.task is None and letter.letter.value_hash is not None:
            why = "the original did not fit, and is not in its topic any more"
        elif letter.task is None:
            why = "the original is no task"
        elif letter.task.task_id in seen:
            why = "the same task is redriven already"
        elif again and not named:
            why = f"was redriven as {again[-1]}"
        else:
            action, why = "submit", f"again: already redriven as {again[-1]}" if again else ""
        if letter.task is not None:
            seen.add(letter.task.task_id)
        todo.append(
            (
                letter,
                {
                    "id": letter.id,
                    "task_id": task_id,
                    "action": action,
                    "why": why,
                    "new_task_id": None,
                },
            )
        )
    return todo
