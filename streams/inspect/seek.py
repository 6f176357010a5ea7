"""Moves a group to other offsets: a plan first, then the move and what undoes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.catalog import read_from
from streams.core.offsets import CompletionMap, decode
from streams.errors import Conflict, GroupActive, LogError, UsageError
from streams.inspect.groups import Share, shares
from streams.inspect.places import Place, offsets_of
from streams.ports import Clock, Committed, Log
from streams.topics import Topics


@dataclass(frozen=True, slots=True)
class Move:
    """One partition: where it is, where it is to be, and what that means for its tasks."""

    partition: int
    old: Committed
    new: Committed
    again: int
    """Finished tasks that will run once more, and be answered once more."""
    skipped: int
    """Tasks that are not finished and will never run."""

    def row(self) -> dict[str, Any]:
        return {
            "partition": self.partition,
            "old": self.old.offset,
            "new": self.new.offset,
            "runs_again": self.again,
            "skipped": self.skipped,
            "old_metadata": self.old.metadata,
            "new_metadata": self.new.metadata,
        }


def plan_move(
    log: Log,
    topics: Topics,
    agent: str,
    clock: Clock,
    to: Place | Mapping[int, Committed],
    partition: int | None = None,
) -> list[Move]:
    """What moving the group of ``agent`` to a place, or to exact commits, changes; blocks.

    Raises AgentUnknown, UsageError for a partition that does not exist, GroupActive while
    the group has members, Conflict while a transaction holds its offsets.
    """
    described, each = shares(log, topics, agent)
    if described.members:
        raise GroupActive(
            f"group '{described.name}' has {len(described.members)} members, so its offsets "
            "cannot be changed",
            hint="end its workers first: streams worker list, streams worker drain ID",
        )
    topic = topics.tasks(agent)
    _check_stable(log, described.name, topic, each)
    chosen = _chosen(each, to, partition)
    new = _targets(log, topic, chosen, to)
    moves = [_move(log, topic, clock, each[p], new[p]) for p in sorted(new)]
    return [each for each in moves if each.old != each.new]


def move(log: Log, topics: Topics, agent: str, moves: Iterable[Move]) -> None:
    """Do it; GroupActive if a member came meanwhile."""
    try:
        log.admin().set_committed(
            topics.group(agent), topics.tasks(agent), {m.partition: m.new for m in moves}
        )
    except LogError as error:
        raise GroupActive(
            f"the offsets of group '{topics.group(agent)}' were not changed: {error}",
            hint="end its workers first: streams worker list",
        ) from error


def undo_command(agent: str, moves: Iterable[Move]) -> str:
    """The command that restores exactly the offsets and maps from before."""
    restores = " ".join(f"--restore {shlex.quote(restore_text(m))}" for m in moves)
    return f"streams group seek {shlex.quote(agent)} {restores} --execute"


def restore_text(move: Move) -> str:
    """``partition:offset:metadata`` of what was committed before."""
    return f"{move.partition}:{move.old.offset}:{move.old.metadata}"


def parse_restores(texts: Iterable[str]) -> dict[int, Committed]:
    """Read what ``restore_text`` wrote; UsageError."""
    found: dict[int, Committed] = {}
    for text in texts:
        parts = text.split(":", 2)
        if len(parts) != 3 or not all(n.isascii() and n.isdigit() for n in parts[:2]):
            raise UsageError(f"'{text}' is not PARTITION:OFFSET:METADATA")
        found[int(parts[0])] = Committed(int(parts[1]), parts[2])
    return found


def _check_stable(log: Log, group: str, topic: str, each: list[Share]) -> None:
    try:
        log.admin().committed(group, topic, [s.partition for s in each])
    except LogError as error:
        if error.kind != "UNSTABLE_OFFSET_COMMIT":
            raise
        raise Conflict(
            f"a transaction of a worker that is gone holds offsets of group '{group}'",
            hint="the broker ends it within 15 s; try again then",
        ) from error


def _chosen(
    each: list[Share], to: Place | Mapping[int, Committed], partition: int | None
) -> list[Share]:
    wanted = (
        {partition} if partition is not None else set[int]() if isinstance(to, Place) else set(to)
    )
    if wanted - {s.partition for s in each}:
        raise UsageError(
            f"partition {max(wanted)} does not exist", hint=f"they are 0 to {len(each) - 1}"
        )
    return [s for s in each if not wanted or s.partition in wanted]


def _targets(
    log: Log, topic: str, chosen: list[Share], to: Place | Mapping[int, Committed]
) -> dict[int, Committed]:
    if not isinstance(to, Place):
        return dict(to)
    offsets = offsets_of(to, log.admin(), topic, [s.partition for s in chosen])
    # Without a map: all from there on runs, nothing before it.
    return {p: Committed(offset, "") for p, offset in offsets.items()}


def _move(log: Log, topic: str, clock: Clock, share: Share, new: Committed) -> Move:
    left = share.left or CompletionMap(share.next, share.next)
    then = (
        decode(new.offset, new.metadata) if new.metadata else CompletionMap(new.offset, new.offset)
    )
    low, high = min(left.offset, then.offset), max(left.high, then.high)
    again = skipped = 0
    p = share.partition
    for record in read_from(log, topic, {p: low}, clock, {p: high}):
        before, after = left.is_finished(record.offset()), then.is_finished(record.offset())
        again += before and not after
        skipped += after and not before
    # Never committed is the same as 0 without a map: a worker begins there if the log does.
    return Move(p, share.committed or Committed(0, ""), new, again, skipped)
