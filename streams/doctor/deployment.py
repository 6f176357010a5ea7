"""Checks of a deployment through its log: topics, groups, workers, rights, clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.catalog import Catalog
from streams.doctor.check import Check, fail, ok, warn
from streams.errors import LogError, StreamsError
from streams.inspect import groups
from streams.inspect.workers import Seen, seen_workers
from streams.ports import Clock, Log, TopicInfo
from streams.records import AgentCard, TopicCard
from streams.topics import RETENTION_MARGIN_MS, Topics

SKEW_WARN_S = 2.0
ROUND_TRIP_WARN_S = 0.5
STUCK_S = 30.0
"""A task older than this, with nothing finished meanwhile, is worth a look."""
SAMPLE_S = 2.0
POOLS_MAX = 20
"""Rights are tried, and groups watched, for so many pools; they seldom differ."""
PROBE_TIMEOUT_S = 10.0
_APPLY = "streams topic apply PATH"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is looked at; ``wait`` lets seconds pass between two samples."""

    log: Log
    topics: Topics
    catalog: Catalog
    clock: Clock
    wait: Callable[[float], None]


def deployment_checks(at: Deployment) -> Iterator[Check]:
    """All checks of a deployment whose broker answers."""
    yield round_trip(at)
    brokers = at.log.admin().brokers()
    yield ok("brokers", ", ".join(brokers.values()))
    exists = at.log.admin().topics()
    missing = [spec.name for spec in at.topics.shared() if spec.name not in exists]
    if len(missing) == len(at.topics.shared()):
        made = f"streams dev or {_APPLY}{at.topics.option} makes them"
        yield ok("topics", f"none of this deployment yet; {made}")
        return
    if missing:
        yield fail("topics", f"missing: {', '.join(missing)}", f"{_APPLY}{at.topics.option}")
        return
    yield clock_skew(at)
    cards = at.catalog.read()
    for card in cards.values():
        yield from card_checks(at, card, exists, len(brokers))
    pools = [card.pool for card in cards.values() if at.topics.tasks(card.pool) in exists]
    seen = seen_workers(at.log, at.topics, at.catalog, at.clock)
    yield from worker_checks(seen)
    yield from right_checks(at, pools[:POOLS_MAX])
    yield from group_checks(at, pools[:POOLS_MAX])


def round_trip(at: Deployment) -> Check:
    """How long the broker takes to answer, once connected."""
    at.log.admin().topics([])
    begun = at.clock.monotonic()
    at.log.admin().topics([])
    took = at.clock.monotonic() - begun
    detail = f"answers in {took * 1000:.0f} ms"
    if took > ROUND_TRIP_WARN_S:
        return warn("broker", detail, "workers commit many times a second: run them nearer to it")
    return ok("broker", detail)


def clock_skew(at: Deployment) -> Check:
    """Our clock against the broker's, by the append time of a record.

    It is a tombstone of a key that nobody uses, on the compacted topic of schemas: readers
    pass over it, and it disappears. This also tries the right to write that a worker needs.
    """
    topic, log = at.topics.schemas, at.log
    end = log.admin().bounds(topic, [0])[0].end
    refused: list[LogError] = []
    producer = log.producer()
    before = at.clock.now_micros()
    try:
        producer.produce(
            topic, 0, b"doctor", None, None, lambda e: None if e is None else refused.append(e)
        )
        left = producer.flush(PROBE_TIMEOUT_S)
    finally:
        producer.close()
    after = at.clock.now_micros()
    if left or refused:
        why = str(refused[0]) if refused else "no answer"
        return fail("clock", f"'{topic}' cannot be written: {why}", f"allow WRITE on '{topic}'")
    appended_ms = _append_time_ms(at, topic, end)
    if appended_ms is None:
        return warn("clock", f"what was written to '{topic}' cannot be read", "is READ allowed?")
    # Anything between the two readings is as good as equal.
    skew = max(before / 1e6 - appended_ms / 1e3, appended_ms / 1e3 - after / 1e6, 0.0)
    if skew > SKEW_WARN_S:
        return warn(
            "clock", f"{skew:.1f} s from the broker's", "synchronise both: deadlines use them"
        )
    return ok("clock", "as the broker's" if skew < 0.1 else f"{skew:.1f} s from the broker's")


def card_checks(
    at: Deployment, card: AgentCard, exists: Mapping[str, TopicInfo], brokers: int
) -> Iterator[Check]:
    """The topics of one agent against its card; one line if all is well."""
    found = [check for topic in card.topics for check in _topic(at, card, topic, exists, brokers)]
    if found:
        yield from found
    else:
        partitions = card.topics[0].partitions if card.topics else 0
        yield ok(f"agent {card.agent}", f"topics as applied, {partitions} partitions")


def worker_checks(seen: Sequence[Seen]) -> Iterator[Check]:
    """Workers by their heartbeats."""
    alive = [each for each in seen if each.alive]
    # One that came back in its slot is not missed.
    back = {each.beat.slot for each in alive}
    for each in seen:
        beat = each.beat
        if each.state == "dead" and beat.slot not in back:
            yield warn(
                f"worker {beat.worker_id}",
                f"silent for {each.age_ms / 1000:.0f} s (pid {beat.pid} on {beat.host})",
                "it was killed or lost its broker; others take its tasks over",
            )
        elif each.alive and beat.blocked_by:
            yield warn(
                f"worker {beat.worker_id}",
                f"its event loop is blocked by {beat.blocked_by}",
                "await asyncio.to_thread(...) takes blocking work off the loop",
            )
    versions = sorted({each.beat.version for each in alive})
    if len(versions) > 1:
        yield warn("workers", f"of several versions: {', '.join(versions)}", "finish the roll-out")
    yield ok("workers", f"{len(alive)} alive")


def right_checks(at: Deployment, pools: Sequence[str]) -> Iterator[Check]:
    """What can be tried of a worker's rights without writing into a pool's topics."""
    tried: list[str] = []
    for pool in pools:
        group, tasks = at.topics.group(pool), at.topics.tasks(pool)
        transactional_id = at.topics.transactional_id(pool, "doctor")
        producer = at.log.transactional_producer(transactional_id, group=group)
        try:
            producer.init(PROBE_TIMEOUT_S)
            at.log.admin().committed(group, tasks, [0], stable=False)
        except LogError as error:
            yield fail(
                f"rights {pool}",
                str(error),
                f"a worker needs WRITE on transactional ids '{group}.*' and READ on group "
                f"'{group}' and topic '{tasks}'",
            )
        else:
            tried.append(pool)
        finally:
            producer.destroy()
    if tried:
        yield ok("rights", f"transactions and group offsets of {', '.join(tried)}")


def group_checks(at: Deployment, pools: Sequence[str]) -> Iterator[Check]:
    """Each group twice, some seconds apart if it is behind: does it move?"""
    first = {pool: _group(at, pool) for pool in pools}
    if any(isinstance(row, dict) and row["behind"] and row["members"] for row in first.values()):
        at.wait(SAMPLE_S)
    for pool, before in first.items():
        if isinstance(before, StreamsError):
            yield warn(f"group {pool}", str(before), "is DESCRIBE on the group allowed?")
            continue
        after = _group(at, pool) if before["behind"] and before["members"] else before
        yield group(pool, before, before if isinstance(after, StreamsError) else after)


def group(pool: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Check:
    """A verdict on two looks at one group."""
    name = f"group {pool}"
    members = "1 member" if after["members"] == 1 else f"{after['members']} members"
    detail = f"{members}, {after['behind']} behind"
    if after["problems"]:
        return fail(
            name, f"{after['problems']} partitions are stopped", f"streams group get {pool}"
        )
    if not after["behind"]:
        return ok(name, f"{members}, nothing behind")
    detail += f", the oldest for {after['behind_s']:.0f} s"
    if not after["members"]:
        return warn(name, f"{detail}: nobody works on them", "streams worker run PATH")
    same = after["progress"] == before["progress"]
    if same and after["behind_s"] > STUCK_S and before["behind"]:
        growing = " and it grows" if after["behind"] > before["behind"] else ""
        return warn(
            name,
            f"{detail}{growing}: nothing was finished in {SAMPLE_S:g} s",
            f"streams group get {pool} shows what is open, streams worker list who works",
        )
    return ok(name, detail)


def _group(at: Deployment, pool: str) -> dict[str, Any] | StreamsError:
    """A group as a whole; ``progress`` changes whenever it commits something finished."""
    try:
        whole, rows = groups.look(at.log, at.topics, pool, at.clock)
    except StreamsError as error:
        return error
    return whole | {"progress": [(row["offset"], row["incomplete"]) for row in rows]}


def _topic(
    at: Deployment,
    card: AgentCard,
    topic: TopicCard,
    exists: Mapping[str, TopicInfo],
    brokers: int,
) -> Iterator[Check]:
    name = f"topic {topic.name}"
    info = exists.get(topic.name)
    if info is None:
        yield fail(name, "does not exist", f"{_APPLY}{at.topics.option}")
        return
    if info.partitions != topic.partitions:
        yield fail(
            name,
            f"{info.partitions} partitions, its card says {topic.partitions}",
            "keys go elsewhere than before; streams topic plan PATH says what to do",
        )
    if brokers > 1 and info.replication < 2:
        yield warn(
            name,
            f"one replica on a cluster of {brokers} brokers: lost with its broker",
            "reassign it with more replicas; set default.replication.factor for new topics",
        )
    try:
        config = at.log.admin().topic_config(topic.name)
    except LogError as error:
        yield warn(name, f"its settings cannot be read: {error}", "is DESCRIBE_CONFIGS allowed?")
        return
    yield from topic_settings(name, card, topic, config, info.replication)


def topic_settings(
    name: str, card: AgentCard, topic: TopicCard, config: Mapping[str, str], replication: int
) -> Iterator[Check]:
    """Retention against deadlines, the clock of the timestamps, and in-sync replicas."""
    retention = int(config.get("retention.ms", topic.retention_ms))
    needed = card.deadline_max_ms + RETENTION_MARGIN_MS
    if topic.kind != "dead" and 0 <= retention < needed:
        yield fail(
            name,
            f"keeps records for {_days(retention)}, tasks may be due {_days(card.deadline_max_ms)} "
            "after submit: unfinished ones would be lost",
            f"set retention.ms to {needed} or more, or apply again for earlier deadlines",
        )
    if config.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        yield warn(name, "takes the writers' times", "set message.timestamp.type=LogAppendTime")
    if replication > 2 and int(config.get("min.insync.replicas", "2")) < 2:
        yield warn(
            name,
            "an accepted record may be on one broker only",
            "set min.insync.replicas=2",
        )


def _append_time_ms(at: Deployment, topic: str, offset: int) -> int | None:
    reader = at.log.reader()
    until = at.clock.monotonic() + PROBE_TIMEOUT_S
    try:
        reader.assign({(topic, 0): offset})
        while at.clock.monotonic() < until:
            consumed = reader.consume(100, 0.1)
            for record in consumed.records:
                if record.key() == b"doctor":
                    return record.timestamp()[1]
            if consumed.ended:
                return None
        return None
    finally:
        reader.close()


def _days(ms: int) -> str:
    return f"{ms / 86_400_000:.1f} days"
