"""Consumer groups: how far behind, what is incomplete, who owns what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streams.catalog import READ_TIMEOUT_S
from streams.core.offsets import CompletionMap, decode
from streams.errors import AgentUnknown, MapUnreadable, StreamsError
from streams.ports import Bounds, Clock, Committed, GroupInfo, Log, Member, Record
from streams.topics import Topics

LISTED_MAX = 20
"""Incomplete offsets that are named one by one."""


@dataclass(frozen=True, slots=True)
class Share:
    """One partition of a group's topic; ``left`` is what its last owner committed."""

    partition: int
    bounds: Bounds
    committed: Committed | None
    left: CompletionMap | None
    problem: str
    member: Member | None

    @property
    def next(self) -> int:
        """The first offset that is not finished, as far as is known."""
        return self.committed.offset if self.committed else self.bounds.start

    @property
    def behind(self) -> int:
        """Offsets that are not finished (markers of transactions count as well)."""
        if self.left is None:
            return max(0, self.bounds.end - self.next)
        return len(self.left.incomplete) + max(0, self.bounds.end - self.left.high)


def pools(log: Log, topics: Topics) -> list[str]:
    """The pools whose task topics exist."""
    names = log.admin().topics()
    found = ((topics.pool_of(name), name) for name in names)
    return sorted(pool for pool, name in found if pool and name == topics.tasks(pool))


def look(
    log: Log, topics: Topics, agent: str, clock: Clock
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A group as a whole, and a row for each partition; AgentUnknown; blocks."""
    described, each = shares(log, topics, agent)
    first = oldest(log, topics.tasks(agent), each, clock)
    now = clock.now_micros()
    rows = [_row(share, first.get(share.partition), described.name, now) for share in each]
    return _whole(agent, described, rows), rows


def shares(log: Log, topics: Topics, agent: str) -> tuple[GroupInfo, list[Share]]:
    """The group of an agent and each partition of its tasks; AgentUnknown; blocks."""
    admin, topic, group = log.admin(), topics.tasks(agent), topics.group(agent)
    info = admin.topics([topic]).get(topic)
    if info is None:
        raise AgentUnknown(f"agent '{agent}' has no topics here", hint="streams group list")
    partitions = range(info.partitions)
    bounds = admin.bounds(topic, partitions)
    # Not the stable ones: what was committed last, also while a transaction is open.
    committed = admin.committed(group, topic, partitions, stable=False)
    described = admin.group(group)
    owners = {p: m for m in described.members for t, p in m.partitions if t == topic}
    return described, [_share(p, bounds[p], committed.get(p), owners.get(p)) for p in partitions]


def oldest(log: Log, topic: str, each: list[Share], clock: Clock) -> dict[int, Record]:
    """The first unfinished record of each partition that has one; blocks.

    A partition may be behind by offsets only: markers at its end are no records.
    """
    wanted = {s.partition: s.next for s in each if s.behind and s.next >= s.bounds.start}
    ends = {s.partition: s.bounds.end for s in each}
    if not wanted:
        return {}
    found: dict[int, Record] = {}
    reader = log.reader()
    try:
        reader.assign({(topic, p): offset for p, offset in wanted.items()})
        open_, moved_at = set(wanted), clock.monotonic()
        while open_:
            consumed = reader.consume(100, 0.1)
            for record in consumed.records:
                if record.partition() not in found and record.offset() < ends[record.partition()]:
                    found[record.partition()] = record
            before = len(open_)
            open_ -= found.keys() | {p for _, p in consumed.ended}
            if len(open_) < before:
                moved_at = clock.monotonic()
            elif clock.monotonic() - moved_at > READ_TIMEOUT_S:
                raise StreamsError(f"topic '{topic}' cannot be read")
    finally:
        reader.close()
    return found


def _whole(agent: str, described: GroupInfo, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "agent": agent,
        "group": described.name,
        # Kafka calls a group dead that nobody ever joined; here that word says that one died.
        "state": "empty" if described.state == "dead" else described.state,
        "members": len(described.members),
        "partitions": len(rows),
        "behind": sum(row["behind"] for row in rows),
        "behind_s": max((row["behind_s"] for row in rows), default=0.0),
        "incomplete": sum(row["incomplete"] for row in rows),
        "problems": sum(bool(row["problem"]) for row in rows),
    }


def _share(
    partition: int, bounds: Bounds, committed: Committed | None, member: Member | None
) -> Share:
    left, problem = None, ""
    if committed is None:
        if bounds.start > 0:
            problem = f"no offset, and the log begins at {bounds.start}"
    elif not bounds.start <= committed.offset <= bounds.end:
        problem = f"the offset is outside the log ({bounds.start} to {bounds.end})"
    elif committed.metadata:
        try:
            left = decode(committed.offset, committed.metadata)
        except MapUnreadable as error:
            problem = error.message
    return Share(partition, bounds, committed, left, problem, member)


def _row(share: Share, first: Record | None, group: str, now: int) -> dict[str, Any]:
    left, member = share.left, share.member
    incomplete = left.incomplete if left else ()
    return {
        "partition": share.partition,
        "offset": share.committed.offset if share.committed else None,
        "end": share.bounds.end,
        "behind": share.behind if first is not None else 0,
        "behind_s": _age_s(first, now) if first is not None else 0.0,
        "incomplete": len(incomplete),
        "incomplete_offsets": list(incomplete[:LISTED_MAX]),
        "worker": member.client_id.removeprefix(f"{group}.") if member else None,
        "host": member.host.removeprefix("/") if member else None,
        "epoch": left.epoch if left else None,
        "released": left.released if left else None,
        "deaths": left.deaths if left else 0,
        "running": left.running[0] if left and left.running else None,
        "problem": share.problem,
    }


def _age_s(record: Record, now_micros: int) -> float:
    return round(max(0.0, now_micros / 1e6 - record.timestamp()[1] / 1e3), 1)
