"""What the demo sees on the topics while its agents work."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from streams.avro import decode
from streams.ports import Log, Record
from streams.records import Result
from streams.topics import Topics

_BATCH_MAX = 1_000
_POLL_S = 0.05


class Answer(NamedTuple):
    """A result of the first agent: where it is from and when."""

    partition: int
    started_at: int
    """Microseconds since the epoch."""
    appended_at: int
    """Microseconds since the epoch, to the millisecond, by the broker's clock."""


@dataclass(slots=True)
class Findings:
    """What the agents found in one document; keywords with their score over all passes."""

    summaries: dict[int, str] = field(default_factory=dict[int, str])
    """By part."""
    keywords: Counter[str] = field(default_factory=Counter[str])


class Watch:
    """Follows the results from the beginning; ``read`` blocks, everything else is values."""

    def __init__(self, log: Log, topics: Topics, agents: Sequence[str]) -> None:
        self._first = agents[0]
        self._results = {topics.results(agent): agent for agent in agents}
        self._reader = log.reader()
        exists = log.admin().topics(self._results)
        places = [(info.name, p) for info in exists.values() for p in range(info.partitions)]
        self._reader.assign(dict.fromkeys(places, 0))
        self.answers: list[Answer] = []
        self.statuses: dict[str, Counter[str]] = {agent: Counter() for agent in agents}
        self.found: defaultdict[str, Findings] = defaultdict(Findings)

    def read(self) -> bool:
        """Take what came since the last call, waiting a moment for it; whether there was any."""
        records = self._reader.consume(_BATCH_MAX, _POLL_S).records
        for record in records:
            self._add(self._results[record.topic()], record)
        return bool(records)

    def close(self) -> None:
        self._reader.close()

    def first_after(self, since: int, partitions: Container[int]) -> Answer | None:
        """The earliest answer of these partitions to a task started after ``since`` (micros)."""
        later = [a for a in self.answers if a.started_at > since and a.partition in partitions]
        return min(later, key=lambda answer: answer.appended_at, default=None)

    def _add(self, agent: str, record: Record) -> None:
        result = cast(Result[bytes], decode(record.value() or b"", Result))
        self.statuses[agent][result.status] += 1
        if agent == self._first:
            appended_at = record.timestamp()[1] * 1_000
            self.answers.append(Answer(record.partition(), result.started_at, appended_at))
        if result.output is not None:
            self._add_output(json.loads(result.output))

    def _add_output(self, output: dict[str, Any]) -> None:
        findings = self.found[output["topic"]]
        if "summary" in output:
            findings.summaries[output["part"]] = output["summary"]
        findings.keywords.update(output.get("scores", {}))
