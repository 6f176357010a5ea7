"""The topics of a deployment as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from streams.errors import TopicMissing
from streams.ports import Log, TopicInfo
from streams.provision import TopicPlan
from streams.topics import DEADLINE_DEFAULT_MS, Topics


def topic_rows(log: Log, topics: Topics) -> list[dict[str, Any]]:
    """The topics of this deployment (with no prefix: those without one that are ours)."""
    shared = {spec.name for spec in topics.shared()}
    rows: list[dict[str, Any]] = []
    for name, info in sorted(log.admin().topics().items()):
        pool = topics.pool_of(name)
        if pool is not None or name in shared:
            short = name.removeprefix(f"{topics.prefix}.") if topics.prefix else name
            rows.append(
                {
                    "topic": name,
                    "kind": short.partition(".")[0],
                    "agent": pool,
                    "partitions": info.partitions,
                    "replication": info.replication,
                }
            )
    return rows


def topic_row(log: Log, topics: Topics, name: str) -> dict[str, Any]:
    """One topic with its settings and the offsets each partition has; TopicMissing."""
    admin = log.admin()
    info = admin.topics([name]).get(name)
    if info is None:
        raise TopicMissing(f"topic '{name}' does not exist", hint="streams topic list")
    bounds = admin.bounds(name, range(info.partitions))
    config = admin.topic_config(name)
    usual = next((s for s in (*topics.shared(), *_of_pool(topics, name)) if s.name == name), None)
    shown = usual.config if usual else ("cleanup.policy", "retention.ms", "max.message.bytes")
    return {
        "topic": name,
        "agent": topics.pool_of(name),
        "partitions": info.partitions,
        "replication": info.replication,
        "config": {key: config[key] for key in shown if key in config},
        # Markers of transactions take an offset each, so this is more than the records.
        "offsets": sum(b.end - b.start for b in bounds.values()),
        "bounds": [
            {"partition": p, "start": b.start, "end": b.end} for p, b in sorted(bounds.items())
        ],
    }


def totals(log: Log, plan: TopicPlan) -> str:
    """What a plan amounts to, in words: partitions, replicas, and the deadlines that are kept."""
    exists = log.admin().topics()
    there = sum(
        exists[c.spec.name].partitions * exists[c.spec.name].replication
        for c in plan.changes
        if c.spec.name in exists
    )
    new = sum(spec.partitions for spec in plan.to_create)
    replicas = plan.replicas
    lines = [
        f"{len(plan.changes)} topics; {len(plan.to_create)} to make with {new} partitions "
        f"x {replicas} replicas = {new * replicas}; there are {there} already",
    ]
    lines += _about_replicas(plan, exists, len(log.admin().brokers()))
    lines += [
        f"agent '{card.agent}': retention of its tasks keeps deadlines of "
        f"{card.deadline_max_ms / 3.6e6:.1f} hours, not of {DEADLINE_DEFAULT_MS / 3.6e6:.0f}"
        for card in plan.cards
        if card.deadline_max_ms < DEADLINE_DEFAULT_MS
    ]
    return "\n".join(lines)


def _about_replicas(
    plan: TopicPlan, exists: Mapping[str, TopicInfo], brokers: int
) -> Iterator[str]:
    replicas = plan.replicas
    if plan.to_create and replicas > brokers:
        yield (
            f"the cluster has {brokers} brokers and would make {replicas} replicas of each "
            "partition: start more brokers or lower default.replication.factor, or no topic "
            "can be made"
        )
    if plan.to_create and brokers > replicas < 3:
        yield (
            f"the cluster has {brokers} brokers and makes {replicas} replicas of each partition: "
            "set default.replication.factor, or the loss of a broker loses tasks"
        )
    names = [change.spec.name for change in plan.changes if change.spec.name in exists]
    if single := [name for name in names if exists[name].replication < min(2, brokers)]:
        yield (
            f"one replica on a cluster of {brokers} brokers, lost with its broker: "
            f"{', '.join(single)}; reassign with more replicas"
        )


def _of_pool(topics: Topics, name: str) -> Any:
    pool = topics.pool_of(name)
    return topics.of_pool(pool) if pool else []
