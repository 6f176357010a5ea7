"""Makes the topics of agents, and the cards that record them: ``topic plan`` and ``apply``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.agent import Agent
from streams.catalog import Catalog
from streams.errors import TopicDrift
from streams.ports import Log, TopicSpec
from streams.records import AgentCard, TopicCard, TopicKind
from streams.topics import PARTITIONS_DEFAULT, REPORT_BYTES, RETENTION_MARGIN_MS, Topics

_SIZE = "max.message.bytes"
NEEDED = ("cleanup.policy", "message.timestamp.type")
"""What promises rest on: nothing unfinished is compacted away, time is the broker's."""


@dataclass(slots=True)
class Change:
    """What one topic needs: ``action`` is ``create``, ``keep`` or ``differs``."""

    spec: TopicSpec
    action: str
    detail: str = ""
    hint: str = ""


@dataclass(slots=True)
class TopicPlan:
    """What ``apply`` would do."""

    changes: list[Change] = field(default_factory=list[Change])
    cards: list[AgentCard] = field(default_factory=list[AgentCard])

    @property
    def conflicts(self) -> list[Change]:
        return [change for change in self.changes if change.action == "differs"]

    @property
    def to_create(self) -> list[TopicSpec]:
        return [change.spec for change in self.changes if change.action == "create"]


def plan(
    log: Log, topics: Topics, agents: Sequence[Agent[Any, Any]], partitions: int | None = None
) -> TopicPlan:
    """Compare the topics of these agents with those that exist; blocks, changes nothing.

    ``partitions`` is for topics to be made (default 12); one that exists keeps its own count,
    and asking for another is a conflict, since it would send keys elsewhere.
    """
    admin = log.admin()
    exists = admin.topics()
    result = TopicPlan()
    for spec in topics.shared():
        change = Change(spec, "create")
        if spec.name in exists:
            # Its number of partitions may be an operator's choice: nothing is computed from it.
            found = exists[spec.name].partitions
            change = _compare(log, TopicSpec(spec.name, found, spec.config), found)
        result.changes.append(change)
    for agent in agents:
        found = exists.get(topics.tasks(agent.name))
        count = partitions or (found.partitions if found else PARTITIONS_DEFAULT)
        specs = topics.of_pool(agent.name, partitions=count)
        changes = [
            _compare(log, spec, exists[spec.name].partitions)
            if (spec.name in exists)
            else Change(spec, "create")
            for spec in specs
        ]
        _fit_dead(changes, topics.tasks(agent.name), topics.dead(agent.name))
        result.changes += changes
        cards = [_topic_card(change.spec, topics, agent.name) for change in changes]
        result.cards.append(_card(agent, cards))
    return result


def _fit_dead(changes: list[Change], tasks: str, dead: str) -> None:
    """A dead letter carries its task whole: its topic must take what that of tasks takes."""
    by_name = {change.spec.name: change for change in changes}
    change = by_name[dead]
    size = int(by_name[tasks].spec.config[_SIZE])
    least = size + REPORT_BYTES
    if int(change.spec.config[_SIZE]) >= least:
        return
    if change.action == "create":
        config = {**change.spec.config, _SIZE: str(2 * size)}
        change.spec = TopicSpec(dead, change.spec.partitions, config)
        return
    found = f"{_SIZE}={change.spec.config[_SIZE]} does not take the tasks of {tasks}"
    change.detail = f"{change.detail}; {found}" if change.action == "differs" else found
    change.action = "differs"
    change.hint = f"set it to {least} or more: kafka-configs --topic {dead}"


def apply(
    log: Log, topics: Topics, catalog: Catalog, agents: Sequence[Agent[Any, Any]], todo: TopicPlan
) -> None:
    """Make the planned topics, then write schemas and cards; blocks. TopicDrift on conflicts."""
    for change in todo.conflicts:
        raise TopicDrift(f"topic '{change.spec.name}' differs: {change.detail}", hint=change.hint)
    log.admin().create_topics(todo.to_create)
    catalog.publish_now(agents, made={card.agent: card for card in todo.cards})


def _compare(log: Log, spec: TopicSpec, partitions: int) -> Change:
    if partitions != spec.partitions:
        return Change(
            spec,
            "differs",
            f"{partitions} partitions, not {spec.partitions}",
            "the number of partitions is fixed for a topic's life; leave --partitions out",
        )
    config = log.admin().topic_config(spec.name)
    actual = TopicSpec(spec.name, partitions, {k: config.get(k, v) for k, v in spec.config.items()})
    other = [
        f"{key}={actual.config[key]} (usual: {value})"
        for key, value in spec.config.items()
        if actual.config[key] != value
    ]
    needed = [
        f"{key}={actual.config[key]}, not {spec.config[key]}"
        for key in NEEDED
        if actual.config[key] != spec.config[key]
    ]
    keeps = int(actual.config["retention.ms"])
    if _is_tasks(spec) and 0 <= keeps <= RETENTION_MARGIN_MS:
        needed.append(
            f"retention.ms={keeps} keeps no deadline: it must be the largest deadline and "
            f"{RETENTION_MARGIN_MS} more"
        )
    if needed:
        hint = f"alter it with your broker's tools: kafka-configs --topic {spec.name}"
        return Change(actual, "differs", "; ".join(needed), hint)
    # An operator's other settings stand; the card records what is.
    return Change(actual, "keep", ", ".join(other))


def _is_tasks(spec: TopicSpec) -> bool:
    return "tasks" in spec.name.split(".")[-2:-1]


def _topic_card(spec: TopicSpec, topics: Topics, pool: str) -> TopicCard:
    kinds: dict[str, TopicKind] = {
        topics.tasks(pool): "tasks",
        topics.results(pool): "results",
        topics.dead(pool): "dead",
    }
    return TopicCard(
        spec.name,
        kinds[spec.name],
        spec.partitions,
        int(spec.config["retention.ms"]),
        int(spec.config[_SIZE]),
    )


def _card(agent: Agent[Any, Any], cards: list[TopicCard]) -> AgentCard:
    retention = next(card.retention_ms for card in cards if card.kind == "tasks")
    deadline_max = 10**12 if retention < 0 else max(0, retention - RETENTION_MARGIN_MS)
    return AgentCard(
        agent.name, agent.policy.version, agent.name, "", "", deadline_max, 0, topics=cards
    )
