"""How each task has to end: the workload knows, and a storm may change little of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.core.offsets import decode
from streams.core.verdicts import VAGUE_KINDS
from streams.errors import MapUnreadable
from streams.ports import Committed, TopicPartition
from streams.records import Status
from streams.testing.faults import Fails, Fault
from streams.testing.memory import Call
from streams.verify.evidence import Ended, Evidence
from streams.worker.commit import ALONE_MAX

Place = tuple[TopicPartition, int]
"""Where a task stands: partition and offset."""
LATE_MICROS = 100_000
"""An attempt is cut off so soon after its task's deadline: two looks at what runs."""


class End(NamedTuple):
    """One way for a task to end."""

    status: Status
    reason: str
    attempt: int
    cost_micros: int

    def __str__(self) -> str:
        how = f"{self.status} by {self.reason}" if self.reason else self.status
        return f"{how} in attempt {self.attempt} for {self.cost_micros}"


@dataclass(slots=True)
class Alone:
    """What the maps said of one task in quarantine."""

    counts: set[int] = field(default_factory=set[int])
    """With which counts it was to run alone; its worker may have died in each."""
    beside: bool = False
    """Its worker died of another task while it was said to run alone: that is not to be counted."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a task must come to if no worker dies of it."""

    name: str
    input_hash: str
    attempts_max: int
    """Of its agent."""
    unit_micros: int = 0
    """What each attempt charges, as the first thing that it does."""
    attempts: int = 1
    """In which attempt it ends, if those before it are made: they raise."""
    status: Status = "succeeded"
    reason: str = ""
    deadline: int | None = None
    """Microseconds since the epoch; None if it is far away."""
    child: Due | None = None
    """The one task that comes with its success."""
    kills: bool = False
    """Each attempt ends its worker at once, before it charges anything."""

    def ends(self, alone: Alone) -> set[End]:
        """All that is allowed for a task that was in quarantine like this."""
        ends = set[End]()
        # The attempts of one possession are all paid for, those of workers that died are lost.
        for first in (1, *(count + 1 for count in alone.counts if count < self.attempts_max)):
            last = max(first, self.attempts)
            if not self.kills:
                paid = (last - first + 1) * self.unit_micros
                ends.add(End(self.status, self.reason, last, paid))
            if self.deadline is not None:
                for attempt in range(first, last + 1):
                    for began in {attempt - first, attempt - first + (not self.kills)}:
                        ends.add(End("expired", "deadline", attempt, began * self.unit_micros))
        if self.attempts_max in alone.counts and (self.kills or not alone.beside):
            ends.add(End("failed", "killed_worker", self.attempts_max, 0))
        return ends


@dataclass(slots=True)
class Watch:
    """What the run saw that excuses an end; a hook on the log."""

    plan: Sequence[Fault]
    alone: dict[Place, Alone] = field(default_factory=dict[Place, Alone])
    marks: dict[TopicPartition, tuple[str, int]] = field(
        default_factory=dict[TopicPartition, tuple[str, int]]
    )
    """Which process said last that an offset of this partition runs alone."""

    def __call__(self, call: Call) -> None:
        """Note what the maps of a transaction say of quarantine."""
        if call.method != "send_offsets" or call.applied:
            return
        topic: str = call.args[0]  # type: ignore[assignment]
        offsets: Mapping[int, Committed] = call.args[1]  # type: ignore[assignment]
        for partition, committed in offsets.items():
            try:
                offset, count = decode(committed.offset, committed.metadata).running or (0, 0)
            except MapUnreadable:
                continue
            place = (topic, partition)
            if count:
                self.marks[place] = call.process, offset
                self.alone.setdefault((place, offset), Alone()).counts.add(count)
            else:
                self.marks.pop(place, None)

    def killed(self, process: str) -> None:
        """A task has killed this process."""
        for place, (owner, offset) in self.marks.items():
            if owner == process:
                self.alone[place, offset].beside = True

    @property
    def blamed_max(self) -> int:
        """How many good tasks reports that name no record can have blamed: each after so many."""
        vague = (f.times for f in self.plan if isinstance(f, Fails) and f.kind in VAGUE_KINDS)
        return sum(vague) // ALONE_MAX


def compare(evidence: Evidence, due: Mapping[str, Due], watch: Watch) -> Iterator[str]:
    """What is wrong with the ends of these tasks and of their children.

    Tasks without a result, results without a task and the like are for ``streams.verify``.
    """
    children: dict[str, list[str]] = {}
    for task_id, source in evidence.tasks.items():
        if source.parent_task_id is not None:
            children.setdefault(source.parent_task_id, []).append(task_id)
    blamed, todo = 0, list(due.items())
    for task_id, expected in todo:  # grows by children
        ended = evidence.results.get(task_id)
        if ended is None or task_id not in evidence.tasks:
            continue
        source = evidence.tasks[task_id]
        alone = watch.alone.get((source.place, source.offset), Alone())
        wrong = _wrong(expected, ended, alone)
        if wrong and blamed < watch.blamed_max and _is_blamed(expected, ended, alone):
            blamed += 1
        elif wrong:
            yield f"{expected.name} {wrong}"
        wanted = [expected.child] if expected.child and ended.status == "succeeded" else []
        caused = children.get(task_id, [])
        found = [evidence.tasks[child].input_hash for child in caused]
        if found == [child.input_hash for child in wanted]:
            todo += zip(caused, wanted, strict=True)
        else:
            yield f"{expected.name} caused {found}, not {[child.input_hash for child in wanted]}"


def _wrong(due: Due, ended: Ended, alone: Alone) -> str:
    """What is wrong with the end of a task, or nothing."""
    end = End(ended.status, ended.reason, ended.attempt, ended.cost_micros)
    allowed = due.ends(alone)
    if end not in allowed:
        ways = " or ".join(map(str, sorted(allowed)))
        return f"{end}, not {ways or 'before it ran alone so often'}"
    if due.deadline is None:
        return ""
    late = ended.finished_at - due.deadline
    if ended.status == "expired":
        return f"expired {-late} µs before its deadline" if late < 0 else ""
    return f"{end} {late} µs after its deadline" if late > LATE_MICROS else ""


def _is_blamed(due: Due, ended: Ended, alone: Alone) -> bool:
    """Whether only its records were refused; where that report was refused too, without costs."""
    return ended.reason == "record_refused" and any(
        ended.attempt == end.attempt and ended.cost_micros in (end.cost_micros, 0)
        for end in due.ends(alone)
    )
