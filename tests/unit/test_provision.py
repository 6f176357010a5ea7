"""What ``topic plan`` finds: what is to be made, what stands, what agents cannot rest on."""

from __future__ import annotations

import pytest

from streams import Context, agent
from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.errors import DeadlineTooLate, TopicDrift, UsageError
from streams.ports import TopicSpec
from streams.provision import TopicPlan, apply, plan
from streams.records import AgentCard
from streams.submission import new_task
from streams.testing.memory import MemoryLog
from streams.testing.memory.admin import MemoryAdmin
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


def planned(log: MemoryLog, partitions: int | None = None) -> TopicPlan:
    catalog = Catalog(log, TOPICS, SystemClock(), ThreadRunner())
    return plan(log, TOPICS, catalog, [echo], partitions)


def make(log: MemoryLog, partitions: int | None = None) -> None:
    catalog = Catalog(log, TOPICS, SystemClock(), ThreadRunner())
    apply(log, TOPICS, catalog, [echo], planned(log, partitions))


def anew(log: MemoryLog, name: str, partitions: int) -> None:
    """Another number of partitions, by other hands."""
    config = log.admin().topic_config(name)
    log.delete_topic(name)
    log.admin().create_topics([TopicSpec(name, partitions, config)])


def counts(log: MemoryLog) -> set[int]:
    infos = log.admin().topics([spec.name for spec in TOPICS.of_pool("echo")])
    return {info.partitions for info in infos.values()}


def test_topics_are_made_once() -> None:
    log = MemoryLog(SystemClock())
    make(log)
    again = planned(log)
    assert again.to_create == []
    assert {change.action for change in again.changes} == {"keep"}


@pytest.mark.parametrize("name", ["tasks.echo", "results.echo", "dead.echo"])
def test_partitions_other_than_on_the_card_are_refused_and_the_card_stands(name: str) -> None:
    log = MemoryLog(SystemClock())
    make(log, 4)
    anew(log, name, 9)
    (conflict,) = planned(log).conflicts
    assert (conflict.spec.name, conflict.detail) == (name, "9 partitions, its card says 4")
    for asked in (None, 4):
        with pytest.raises(TopicDrift, match=name) as refused:
            make(log, asked)
        assert "leave --partitions out" not in refused.value.hint
    with pytest.raises(TopicDrift):
        make(log, 9)
    log.delete_topic(name)
    make(log)
    assert counts(log) == {4}


def test_another_count_asked_for_is_refused() -> None:
    log = MemoryLog(SystemClock())
    make(log, 4)
    with pytest.raises(TopicDrift, match="4 partitions, not 9") as refused:
        make(log, 9)
    assert "leave --partitions out" in refused.value.hint


@pytest.mark.parametrize("forgotten", [[], ["agents"], ["agents", "schemas"], ["schemas"]])
def test_a_topic_that_was_lost_is_made_as_its_neighbours(forgotten: list[str]) -> None:
    log = MemoryLog(SystemClock())
    make(log, 4)
    for name in ("tasks.echo", *forgotten):
        log.delete_topic(name)
    make(log)
    assert counts(log) == {4}


def test_neighbours_that_differ_are_no_fault_of_an_option_that_was_not_given() -> None:
    log = MemoryLog(SystemClock())
    make(log, 4)
    log.delete_topic("agents")
    anew(log, "dead.echo", 9)
    (conflict,) = planned(log).conflicts
    assert (conflict.spec.name, conflict.detail) == ("dead.echo", "9 partitions, not 4")
    assert "leave --partitions out" not in conflict.hint


def test_without_any_of_its_topics_an_agent_may_begin_with_another_count() -> None:
    log = MemoryLog(SystemClock())
    make(log, 4)
    for spec in TOPICS.of_pool("echo"):
        log.delete_topic(spec.name)
    make(log, 9)
    assert counts(log) == {9}
    make(log)
    assert planned(log).conflicts == []


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
    (conflict,) = planned(log).conflicts
    assert says in conflict.detail
    with pytest.raises(TopicDrift, match=name) as refused:
        make(log)
    key = conflict.detail.partition("=")[0]
    assert f"--alter --topic {name} --add-config {key}=" in refused.value.hint


def test_fewer_replicas_than_a_new_topic_would_get_are_said() -> None:
    class Replicated(MemoryLog):
        """A log whose cluster makes three replicas since its topics were made with one."""

        def admin(self) -> MemoryAdmin:
            admin = super().admin()
            admin.default_replication = lambda: 3  # type: ignore[method-assign]
            return admin

    log = Replicated(SystemClock())
    make(log)
    assert {change.detail for change in planned(log).changes} == {"replication 1 (usual: 3)"}


def test_an_operators_own_retention_stands_and_is_on_the_card() -> None:
    hour = 3_600_000
    log = made("tasks.echo", {"retention.ms": str(RETENTION_MARGIN_MS + hour)})
    (card,) = planned(log).cards
    assert card.deadline_max_ms == hour


def test_a_new_dead_topic_takes_what_an_operators_tasks_topic_takes() -> None:
    log = made("tasks.echo", {"max.message.bytes": "4194304"})
    specs = {spec.name: spec for spec in planned(log).to_create}
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
