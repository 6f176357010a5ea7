"""What ``topic plan`` finds: what is to be made, what stands, what agents cannot rest on."""

from __future__ import annotations

import asyncio

import pytest

from streams import Context, agent
from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.errors import DeadlineTooLate, TopicDrift, UsageError
from streams.ports import TopicSpec
from streams.provision import apply, plan
from streams.records import AgentCard
from streams.submission import new_task
from streams.testing.memory import MemoryLog
from streams.threads import ThreadRunner
from streams.topics import RETENTION_MARGIN_MS, Topics

TOPICS = Topics()


@agent
async def echo(ctx: Context, text: str) -> str:
    return text


def made(name: str, config: dict[str, str]) -> MemoryLog:
    """A log on which one topic of the agent was made by other hands."""
    log = MemoryLog(SystemClock())
    usual = {s.name: s for s in (*TOPICS.shared(), *TOPICS.of_pool("echo"))}[name]
    log.admin().create_topics([TopicSpec(name, usual.partitions, {**usual.config, **config})])
    return log


def make(log: MemoryLog) -> None:
    async def run() -> None:
        catalog = Catalog(log, TOPICS, SystemClock(), ThreadRunner())
        apply(log, TOPICS, catalog, [echo], plan(log, TOPICS, [echo]))

    asyncio.run(run())


def test_topics_are_made_once() -> None:
    log = MemoryLog(SystemClock())
    make(log)
    again = plan(log, TOPICS, [echo])
    assert again.to_create == []
    assert {change.action for change in again.changes} == {"keep"}


@pytest.mark.parametrize(
    ("name", "config", "says"),
    [
        ("tasks.echo", {"cleanup.policy": "compact"}, "cleanup.policy=compact"),
        ("results.echo", {"message.timestamp.type": "CreateTime"}, "message.timestamp.type"),
        ("costs", {"cleanup.policy": "compact"}, "cleanup.policy=compact"),
        ("agents", {"cleanup.policy": "delete"}, "cleanup.policy=delete"),
        ("tasks.echo", {"retention.ms": str(RETENTION_MARGIN_MS)}, "keeps no deadline"),
        ("dead.echo", {"max.message.bytes": "1048576"}, "does not take the tasks of tasks.echo"),
    ],
)
def test_what_agents_cannot_rest_on_is_refused(
    name: str, config: dict[str, str], says: str
) -> None:
    log = made(name, config)
    (conflict,) = plan(log, TOPICS, [echo]).conflicts
    assert says in conflict.detail
    with pytest.raises(TopicDrift, match=name) as refused:
        make(log)
    assert name in refused.value.hint


def test_an_operators_own_retention_stands_and_is_on_the_card() -> None:
    hour = 3_600_000
    log = made("tasks.echo", {"retention.ms": str(RETENTION_MARGIN_MS + hour)})
    (card,) = plan(log, TOPICS, [echo]).cards
    assert card.deadline_max_ms == hour


def test_a_new_dead_topic_takes_what_an_operators_tasks_topic_takes() -> None:
    log = made("tasks.echo", {"max.message.bytes": "4194304"})
    specs = {spec.name: spec for spec in plan(log, TOPICS, [echo]).to_create}
    assert specs["dead.echo"].config["max.message.bytes"] == "8388608"


@pytest.mark.parametrize("field", ["tenant", "task_id"])
def test_a_text_that_costs_and_results_carry_is_bounded(field: str) -> None:
    card = AgentCard("echo", "1", "echo", "{}", "{}", 86_400_000, 0)
    new_task(card, b"1", 1_000_000, **{"task_id": "t", field: "x" * 200})
    with pytest.raises(UsageError, match=f"{field} has at most 200 characters"):
        new_task(card, b"1", 1_000_000, **{"task_id": "t", field: "x" * 201})


def test_a_task_whose_topic_keeps_no_deadline_is_refused() -> None:
    card = AgentCard("echo", "1", "echo", "{}", "{}", 0, 0)
    with pytest.raises(DeadlineTooLate, match="too short for any deadline"):
        new_task(card, b"1", 1_000_000, task_id="t")
