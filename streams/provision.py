"""Makes the topics of agents, and the cards that record them: ``topic plan`` and ``apply``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.agent import Agent
from streams.catalog import OTHER_PARTITIONS, Catalog
from streams.errors import TopicDrift
from streams.ports import Log, TopicInfo, TopicSpec
from streams.records import AgentCard, TopicCard, TopicKind
from streams.topics import PARTITIONS_DEFAULT, REPORT_BYTES, RETENTION_MARGIN_MS, Topics

_SIZE = "max.message.bytes"
NEEDED = ("cleanup.policy", "message.timestamp.type")
"""What promises rest on: nothing unfinished is compacted away, time is the broker's."""
_LEAVE_OUT = "the number of partitions is fixed for a topic's life; leave --partitions out"


@dataclass(slots=True)
class Change:
    """What one topic needs: ``action`` is ``create``, ``keep`` or ``differs``."""

    spec: TopicSpec
    action: str
    detail: str = ""
    hint: str = ""


@dataclass(slots=True)
class TopicPlan:
    """What ``apply`` would do; ``replicas`` is what each partition made now gets."""

    replicas: int
    changes: list[Change] = field(default_factory=list[Change])
    cards: list[AgentCard] = field(default_factory=list[AgentCard])

    @property
    def conflicts(self) -> list[Change]:
        return [change for change in self.changes if change.action == "differs"]

    @property
    def to_create(self) -> list[TopicSpec]:
        return [change.spec for change in self.changes if change.action == "create"]


def plan(
    log: Log,
    topics: Topics,
    catalog: Catalog,
    agents: Sequence[Agent[Any, Any]],
    partitions: int | None = None,
) -> TopicPlan:
    """Compare the topics of these agents with those that exist; blocks, changes nothing.

    ``partitions`` is for topics to be made (default: as the agent's card or its other topics
    have, else 12). One that exists keeps its count: to ask for another, or to have another than
    the card records, is a conflict, since it would send keys elsewhere.
    """
    at = _Deployment(log, topics, log.admin().topics(), log.admin().default_replication())
    recorded = catalog.recorded(at.exists)
    result = TopicPlan(at.replicas)
    for spec in topics.shared():
        # Its number of partitions may be an operator's choice: nothing is computed from it.
        found = at.exists.get(spec.name)
        result.changes.append(_compare(at, spec if found is None else _with(spec, found)))
    for agent in agents:
        changes = _of_agent(at, agent.name, recorded.get(agent.name), partitions)
        _fit_dead(changes, topics.tasks(agent.name), topics.dead(agent.name))
        result.changes += changes
        topic_cards = [_topic_card(change.spec, topics, agent.name) for change in changes]
        result.cards.append(_card(agent, topic_cards))
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
    change.hint = f"kafka-configs --alter --topic {dead} --add-config {_SIZE}={least}"


def apply(
    log: Log, topics: Topics, catalog: Catalog, agents: Sequence[Agent[Any, Any]], todo: TopicPlan
) -> None:
    """Make the planned topics, then write schemas and cards; blocks. TopicDrift on conflicts."""
    for change in todo.conflicts:
        raise TopicDrift(f"topic '{change.spec.name}' differs: {change.detail}", hint=change.hint)
    log.admin().create_topics(todo.to_create)
    catalog.publish_now(agents, made={card.agent: card for card in todo.cards})


@dataclass(frozen=True, slots=True)
class _Deployment:
    """What a plan is compared with."""

    log: Log
    topics: Topics
    exists: Mapping[str, TopicInfo]
    replicas: int


def _of_agent(
    at: _Deployment, name: str, card: AgentCard | None, asked: int | None
) -> list[Change]:
    """What an agent's topics need; the number of partitions is one for all of them."""
    recorded = {} if card is None else {topic.name: topic.partitions for topic in card.topics}
    names = [spec.name for spec in at.topics.of_pool(name)]
    there = [at.exists[topic].partitions for topic in names if topic in at.exists]
    own = [*recorded.values(), *there, PARTITIONS_DEFAULT][0]
    changes: list[Change] = []
    for spec in at.topics.of_pool(name, partitions=asked or own):
        found = at.exists.get(spec.name)
        change = None if found is None else _other_count(spec, found, recorded, own)
        changes.append(change or _compare(at, spec))
    return changes


def _other_count(
    spec: TopicSpec, found: TopicInfo, recorded: Mapping[str, int], own: int
) -> Change | None:
    """The conflict of a topic that has not the number of partitions it should have."""
    if found.partitions != recorded.get(spec.name, found.partitions):
        detail = f"{found.partitions} partitions, its card says {recorded[spec.name]}"
        return Change(spec, "differs", detail, OTHER_PARTITIONS)
    if found.partitions != spec.partitions:
        detail = f"{found.partitions} partitions, not {spec.partitions}"
        # Only an option that was given can be left out.
        hint = _LEAVE_OUT if found.partitions == own else OTHER_PARTITIONS
        return Change(spec, "differs", detail, hint)
    return None


def _compare(at: _Deployment, spec: TopicSpec) -> Change:
    """A topic that has its number of partitions, if it exists."""
    found = at.exists.get(spec.name)
    if found is None:
        return Change(spec, "create")
    config = at.log.admin().topic_config(spec.name)
    actual = {key: config.get(key, value) for key, value in spec.config.items()}
    mend = {key: spec.config[key] for key in NEEDED if actual[key] != spec.config[key]}
    needed = [f"{key}={actual[key]}, not {value}" for key, value in mend.items()]
    keeps = int(actual["retention.ms"])
    if _is_tasks(spec) and 0 <= keeps <= RETENTION_MARGIN_MS:
        mend["retention.ms"] = spec.config["retention.ms"]
        needed.append(
            f"retention.ms={keeps} keeps no deadline: it must be the largest deadline and "
            f"{RETENTION_MARGIN_MS} more"
        )
    # An operator's other settings stand; the card records what is.
    actual_spec = TopicSpec(spec.name, spec.partitions, actual)
    if needed:
        settings = ",".join(f"{key}={value}" for key, value in mend.items())
        hint = (
            "alter it with Kafka's own tool: kafka-configs --bootstrap-server HOST:PORT "
            f"--alter --topic {spec.name} --add-config {settings}"
        )
        return Change(actual_spec, "differs", "; ".join(needed), hint)
    other = [f"{k}={actual[k]} (usual: {v})" for k, v in spec.config.items() if actual[k] != v]
    if found.replication < at.replicas:
        other.append(f"replication {found.replication} (usual: {at.replicas})")
    return Change(actual_spec, "keep", ", ".join(other))


def _with(spec: TopicSpec, found: TopicInfo) -> TopicSpec:
    return TopicSpec(spec.name, found.partitions, spec.config)


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
