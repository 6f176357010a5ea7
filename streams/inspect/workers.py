"""Workers as their heartbeats describe them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from streams.catalog import Catalog, read_from
from streams.errors import NotFound, RecordUndecodable, TopicMissing
from streams.inspect.places import iso
from streams.inspect.show import Decoder, fields_of
from streams.ports import Clock, Log
from streams.records import Heartbeat
from streams.topics import Topics

SEEN_MS = 120_000
"""How far back heartbeats are read: a worker that died earlier is not shown."""
DEAD_AFTER_MS = 6_000
"""The session of the groups: without a beat for as long, others are taking over."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last heartbeat of a worker; ``age_ms`` is since the log took it."""

    beat: Heartbeat
    age_ms: int

    @property
    def state(self) -> str:
        """What it said of itself, ``dead`` where it said nothing for DEAD_AFTER_MS."""
        if self.beat.state != "stopped" and self.age_ms > DEAD_AFTER_MS:
            return "dead"
        return self.beat.state

    @property
    def alive(self) -> bool:
        return self.state not in ("dead", "stopped")


def seen_workers(
    log: Log, topics: Topics, catalog: Catalog, clock: Clock, window_ms: int = SEEN_MS
) -> list[Seen]:
    """The workers that were heard of in the last ``window_ms``, by slot and start.

    Of those that are gone only the last of each slot. Blocks; TopicMissing.
    """
    if topics.heartbeats not in log.admin().topics([topics.heartbeats]):
        raise TopicMissing(
            f"topic '{topics.heartbeats}' does not exist",
            hint=f"`streams topic apply PATH{topics.option}` makes all topics",
        )
    now = clock.now_micros() // 1000
    decoder = Decoder(catalog)
    last: dict[tuple[str, str, int], Seen] = {}
    offsets = log.admin().offsets_at(topics.heartbeats, [0], max(0, now - window_ms))
    for record in read_from(log, topics.heartbeats, offsets, clock):
        try:
            beat = decoder.decode(record.value() or b"")
        except RecordUndecodable:
            continue
        if isinstance(beat, Heartbeat):
            age = max(0, now - record.timestamp()[1])
            last[beat.slot, beat.host, beat.pid] = Seen(beat, age)
    return not_followed(last.values())


def not_followed(seen: Iterable[Seen]) -> list[Seen]:
    """By slot and start, without those that are gone and whose slot was started again.

    Two that live in one slot are both kept: that is a mistake to be seen.
    """
    ordered = sorted(seen, key=lambda each: (each.beat.slot, each.beat.started_at))
    newest = {each.beat.slot: each for each in ordered}
    return [each for each in ordered if each.alive or each is newest[each.beat.slot]]


def serving(workers: Iterable[Seen], agent: str) -> list[Seen]:
    """The live workers that serve an agent."""
    return [w for w in workers if w.alive and any(p.agent == agent for p in w.beat.pools)]


def find_worker(workers: Iterable[Seen], worker_id: str) -> Seen:
    """The newest worker of this id (its slot); NotFound."""
    found = [w for w in workers if w.beat.worker_id == worker_id]
    if not found:
        raise NotFound(
            f"no worker '{worker_id}' was heard of in the last {SEEN_MS // 60_000} minutes",
            hint="streams worker list",
        )
    return max(found, key=lambda w: (w.alive, w.beat.started_at))


def worker_row(seen: Seen) -> dict[str, Any]:
    """One line about a worker; one that is gone runs and owns nothing."""
    beat, pools = seen.beat, seen.beat.pools
    return {
        "worker": beat.worker_id,
        "state": seen.state,
        "host": beat.host,
        "pid": beat.pid,
        "agents": [pool.agent for pool in pools],
        "in_flight": sum(pool.in_flight for pool in pools) if seen.alive else None,
        "capacity": sum(pool.capacity for pool in pools),
        "partitions": sum(len(pool.partitions) for pool in pools) if seen.alive else None,
        "per_second": round(sum(pool.finished_per_second for pool in pools), 1),
        "cpu_percent": round(beat.cpu_permille / 10, 1),
        "rss_mib": round(beat.rss_bytes / 2**20, 1),
        "version": beat.version,
        "blocked_by": beat.blocked_by,
        "started_at": iso(beat.started_at),
        "seen_s": round(seen.age_ms / 1000, 1),
    }


def worker_details(seen: Seen) -> dict[str, Any]:
    """All that the last heartbeat of a worker says."""
    return {"state_seen": seen.state, "seen_s": round(seen.age_ms / 1000, 1)} | fields_of(seen.beat)


def is_here(beat: Heartbeat) -> bool:
    """Whether the worker runs on this host, so that its process can be signalled."""
    return beat.host == socket.gethostname()
