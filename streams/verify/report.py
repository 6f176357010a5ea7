"""What a check found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Invariant = Literal["I1", "I2", "I3", "I4", "I5", "I8", "I13", "I14", "I16", "I17"]
"""Those of ``MEANING`` are shown by the topics alone; the others need to know what was struck."""

VIOLATIONS_MAX = 100
"""Violations kept with their text; all are counted."""

MEANING: dict[Invariant, str] = {
    "I1": "every accepted task ended",
    "I2": "one result per task",
    "I3": "nothing invented",
    "I4": "result, costs, children, dead letter and offset came together or not at all",
    "I5": "costs add up, exactly",
    "I8": "tasks of one key ran one after the other",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that should not be; ``where`` is a task id or ``topic[partition]@offset``."""

    invariant: Invariant
    message: str
    where: str


@dataclass(slots=True)
class Report:
    """Counts of tasks, and every violation; amounts in millionths of the currency."""

    submitted: int = 0
    """Tasks from outside: those in the caller's list (of uncertain ones, those that are in the
    log), or without it those in the log."""
    caused: int = 0
    """Tasks that other tasks submitted, and redriven ones."""
    answered: int = 0
    """Accepted tasks with a result."""
    undecodable: int = 0
    """Records of the task topics that are no task; each ends as a dead letter."""
    dead: int = 0
    """Dead letters."""
    duplicates: int = 0
    """Results beyond the first of their task."""
    lost: int = 0
    """Accepted tasks without a result."""
    invented: int = 0
    """Tasks and results that nobody asked for."""
    torn: int = 0
    """Tasks of which only a part was committed."""
    order_violations: int = 0
    cost_records: int = 0
    cost_micros: int = 0
    by_status: Counter[str] = field(default_factory=Counter[str])
    cost_by_agent: Counter[str] = field(default_factory=Counter[str])
    cost_by_tenant: Counter[str] = field(default_factory=Counter[str])
    found: Counter[Invariant] = field(default_factory=Counter[Invariant])
    """How often each invariant is violated."""
    violations: list[Violation] = field(default_factory=list[Violation])
    """The first VIOLATIONS_MAX of them."""

    @property
    def ok(self) -> bool:
        return not self.found

    @property
    def accepted(self) -> int:
        return self.submitted + self.caused

    def add(self, invariant: Invariant, message: str, where: str) -> None:
        """Note a violation."""
        self.found[invariant] += 1
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(invariant, message, where))

    def text(self) -> str:
        """The report for people, without a line break at its end."""
        statuses = " · ".join(f"{n:,} {status}" for status, n in sorted(self.by_status.items()))
        lines = [
            f"accepted    {self.accepted:>10,}   {self.submitted:,} submitted, "
            f"{self.caused:,} by other tasks",
            f"answered    {self.answered:>10,}   {statuses}".rstrip(),
            f"lost        {self.lost:>10,}",
            f"duplicates  {self.duplicates:>10,}",
            f"invented    {self.invented:>10,}",
            f"torn        {self.torn:>10,}",
            f"dead        {self.dead:>10,}   {self.undecodable:,} records undecodable",
            f"costs       {self.cost_records:>10,}   "
            f"{self.cost_micros // 1_000_000:,}.{self.cost_micros % 1_000_000:06} in all",
        ]
        for invariant, meaning in MEANING.items():
            count = self.found[invariant]
            lines.append(f"{invariant}  {'holds   ' if not count else 'VIOLATED'}  {meaning}")
        lines += [f"{v.invariant}  {v.where}: {v.message}" for v in self.violations]
        hidden = self.found.total() - len(self.violations)
        return "\n".join(lines + ([f"… and {hidden:,} more"] if hidden else []))
