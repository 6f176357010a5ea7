"""The checker: a sound log passes, and each thing that should not be is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from streams.avro import encode
from streams.core.offsets import CompletionMap
from streams.errors import DataLost, TopicMissing
from streams.ports import Committed
from streams.records import AgentCard, AnyRecord, Cost, DeadLetter, Result, Task
from streams.testing.memory import MemoryLog
from streams.topics import Topics
from streams.verify import Report, check, input_hash
from streams.verify.report import VIOLATIONS_MAX

POOL = "reader"
TOPICS = Topics("t")
INPUT = b'"text"'


class StillClock:
    """Time of the memory log; nothing here depends on it."""

    def now_micros(self) -> int:
        return 1_767_225_600_000_000

    def monotonic(self) -> float:
        return 0.0

    def boottime(self) -> float:
        return 0.0


def task(task_id: str, **other: object) -> Task:
    values = {"run_id": "run", "agent": POOL, "submitted_at": 0, "deadline": 9_000, "key": "k"}
    return Task(task_id=task_id, input=INPUT, **(values | other))  # type: ignore[arg-type]


def result(task_id: str, offset: int, **other: object) -> Result[bytes]:
    """Of the task at this offset: it ran from 10 x offset for 10 µs."""
    values = {
        "run_id": "run",
        "agent": POOL,
        "agent_version": "1",
        "worker_id": "w",
        "attempt": 1,
        "status": "succeeded",
        "submitted_at": 0,
        "started_at": 10 * offset,
        "finished_at": 10 * offset + 10,
        "source_topic": TOPICS.tasks(POOL),
        "source_partition": 0,
        "input_hash": input_hash(INPUT),
    }
    return Result(task_id=task_id, source_offset=offset, **(values | other))  # type: ignore[arg-type]


def cost(task_id: str, number: int, amount: int, tenant: str = "") -> Cost:
    cost_id = f"{task_id}.{number}"
    return Cost(cost_id, task_id, "run", POOL, "w", 1, "tool", "r", 1, amount, 0, tenant)


def letter(task_id: str | None, offset: int, value: bytes, reason: str) -> DeadLetter:
    topic = TOPICS.tasks(POOL)
    return DeadLetter(POOL, reason, "w", topic, 0, offset, 0, task_id, "run", value=value)


@dataclass
class World:
    """What stands on the topics; sound as it is made, for a plant to spoil.

    Partition 0 of the tasks: ``a`` (two costs), ``b`` (failed), bytes that are no task, ``c``
    (submitted by ``a``); ``d`` is still open behind ``e``, and both are not there yet.
    """

    tasks: list[Task | bytes] = field(
        default_factory=lambda: [
            task("a", tenant="x"),
            task("b"),
            b"no task",
            task("c", parent_task_id="a"),
        ]
    )
    results: list[Result[bytes]] = field(
        default_factory=lambda: [
            result("a", 0, cost_micros=12, tenant="x"),
            result("b", 1, status="failed", reason="permanent"),
            result("c", 3),
        ]
    )
    dead: list[DeadLetter] = field(
        default_factory=lambda: [
            letter("b", 1, encode(task("b")), "permanent"),
            letter(None, 2, b"no task", "undecodable"),
        ]
    )
    costs: list[Cost] = field(default_factory=lambda: [cost("a", 1, 5, "x"), cost("a", 2, 7, "x")])
    map: CompletionMap = field(default_factory=lambda: CompletionMap(4, 4, owner="w", epoch=1))
    metadata: str | None = None
    submitted: dict[str, str] = field(
        default_factory=lambda: {"a": input_hash(INPUT), "b": input_hash(INPUT)}
    )
    ordering: str = "key"

    def log(self) -> MemoryLog:
        log = MemoryLog(StillClock())
        admin = log.admin()
        admin.create_topics([*TOPICS.of_pool(POOL, partitions=2), *TOPICS.shared()])
        producer = log.producer()

        def write(topic: str, record: AnyRecord | bytes) -> None:
            value = record if isinstance(record, bytes) else encode(record)
            producer.produce(topic, 0, b"k", value)

        card = AgentCard(POOL, "1", POOL, "", "", 0, 0, attempts=3)
        write(TOPICS.agents, replace(card, ordering=self.ordering))  # type: ignore[arg-type]
        for topic, records in (
            (TOPICS.tasks(POOL), self.tasks),
            (TOPICS.results(POOL), self.results),
            (TOPICS.dead(POOL), self.dead),
            (TOPICS.costs, self.costs),
        ):
            for record in records:
                write(topic, record)
        metadata = self.map.encode() if self.metadata is None else self.metadata
        offsets = {0: Committed(self.map.offset, metadata)}
        admin.set_committed(TOPICS.group(POOL), TOPICS.tasks(POOL), offsets)
        return log

    def check(self, uncertain: dict[str, str] | None = None) -> Report:
        return check(self.log(), TOPICS, self.submitted, pools=[POOL], uncertain=uncertain)


def test_a_sound_log_passes_and_is_counted() -> None:
    report = World().check()
    assert report.ok, report.text()
    assert (report.submitted, report.caused, report.accepted, report.answered) == (2, 1, 3, 3)
    assert report.by_status == {"succeeded": 2, "failed": 1}
    assert (report.undecodable, report.dead) == (1, 2)
    assert (report.cost_records, report.cost_micros) == (2, 12)
    assert report.cost_by_agent == {POOL: 12}
    assert report.cost_by_tenant == {"x": 12}


def test_without_a_list_the_log_says_what_was_submitted() -> None:
    report = check(World().log(), TOPICS, pools=[POOL])
    assert report.ok, report.text()
    assert (report.submitted, report.caused) == (2, 1)


def test_what_was_never_acknowledged_may_be_in_the_log_or_not() -> None:
    world = World()
    uncertain = {"b": world.submitted.pop("b"), "z": input_hash(INPUT)}
    report = world.check(uncertain)
    assert report.ok, report.text()
    assert (report.submitted, report.answered) == (2, 3)


def test_an_uncertain_task_that_arrived_is_held_to_everything() -> None:
    world = World()
    world.submitted.clear()
    del world.results[1]
    report = world.check(dict.fromkeys("ab", input_hash(INPUT)))
    assert report.found["I1"] == report.lost == 1
    altered = World().check({"c": "00000000"})
    assert altered.ok, "a task that another submitted is nobody's submission"
    world.tasks[0] = replace(task("a", tenant="x"), input=b'"other"')
    report = world.check(dict.fromkeys("ab", input_hash(INPUT)))
    assert "has another input than was submitted" in {v.message for v in report.violations}


def test_a_finished_offset_ahead_of_the_committed_one_counts_as_finished() -> None:
    world = World()
    world.tasks += [task("d"), task("e", key="other")]
    world.results.append(result("e", 5))
    world.submitted |= dict.fromkeys("de", input_hash(INPUT))
    world.map = CompletionMap(4, 6, (4,), owner="w", epoch=1)
    report = world.check()
    assert report.torn == 0
    assert report.found == {"I1": 1}
    assert [violation.where for violation in report.violations] == ["d"]


def lose_a_result(world: World) -> None:
    del world.results[2]


def lose_a_task(world: World) -> None:
    world.submitted["z"] = input_hash(INPUT)


def answer_twice(world: World) -> None:
    world.results.append(replace(world.results[2]))


def invent_a_result(world: World) -> None:
    world.results.append(result("z", 9))


def invent_a_task(world: World) -> None:
    del world.submitted["b"]


def invent_a_child(world: World) -> None:
    world.tasks[3] = task("c", parent_task_id="z")


def invent_a_redrive(world: World) -> None:
    world.tasks[3] = task("c", redrive_of="z")


def submit_twice(world: World) -> None:
    world.tasks.append(task("c", parent_task_id="a"))
    world.map = CompletionMap(5, 5, owner="w")


def change_the_input(world: World) -> None:
    world.tasks[1] = replace(task("b"), input=b'"other"')


def echo_another_input(world: World) -> None:
    world.results[2].input_hash = "00000000"


def name_another_source(world: World) -> None:
    world.results[2].source_offset = 1


def attempt_too_often(world: World) -> None:
    world.results[2].attempt = 4


def garble_a_result(world: World) -> None:
    world.results.append(b"no result")  # type: ignore[arg-type]


def lose_a_cost(world: World) -> None:
    del world.costs[1]


def cost_without_a_result(world: World) -> None:
    world.costs.append(cost("z", 1, 3))


def cost_twice(world: World) -> None:
    world.costs.append(cost("a", 2, 7, "x"))


def charge_another_tenant(world: World) -> None:
    world.costs[1].tenant = "y"


def child_of_a_failure(world: World) -> None:
    world.tasks[3] = task("c", parent_task_id="b")


def lose_a_dead_letter(world: World) -> None:
    del world.dead[0]


def lose_the_undecodable(world: World) -> None:
    del world.dead[1]


def dead_twice(world: World) -> None:
    world.dead.append(world.dead[0])


def dead_and_succeeded(world: World) -> None:
    world.dead.append(letter("c", 3, encode(task("c", parent_task_id="a")), "permanent"))


def bury_other_bytes(world: World) -> None:
    world.dead[0].value = b"other"


def bury_for_another_reason(world: World) -> None:
    world.dead[0].reason = "exhausted"


def offset_before_its_result(world: World) -> None:
    world.map = CompletionMap(0, 4, (0,), owner="w")


def result_before_its_offset(world: World) -> None:
    world.tasks.append(task("d"))
    world.submitted["d"] = input_hash(INPUT)
    world.map = CompletionMap(5, 5, owner="w")


def garble_the_map(world: World) -> None:
    world.metadata = "1garbled"


def overlap_in_a_lane(world: World) -> None:
    world.results[1].started_at = 9


@pytest.mark.parametrize(
    ("plant", "invariants", "count"),
    [
        (lose_a_result, "I1 I4", "lost"),
        (lose_a_task, "I1", "lost"),
        (answer_twice, "I2", "duplicates"),
        (invent_a_result, "I3", "invented"),
        (invent_a_task, "I3", "invented"),
        (invent_a_child, "I3", "invented"),
        (invent_a_redrive, "I3", "invented"),
        (submit_twice, "I3", "invented"),
        (change_the_input, "I3 I4", ""),
        (echo_another_input, "I3", ""),
        (name_another_source, "I3", ""),
        (attempt_too_often, "I3", ""),
        (garble_a_result, "I3", ""),
        (lose_a_cost, "I4 I5", "torn"),
        (cost_without_a_result, "I4 I5", "torn"),
        (cost_twice, "I4 I5", "torn"),
        (charge_another_tenant, "I5", ""),
        (child_of_a_failure, "I4", "torn"),
        (lose_a_dead_letter, "I4", "torn"),
        (lose_the_undecodable, "I4", "torn"),
        (dead_twice, "I4", "torn"),
        (dead_and_succeeded, "I4", "torn"),
        (bury_other_bytes, "I4", "torn"),
        (bury_for_another_reason, "I4", "torn"),
        (offset_before_its_result, "I4", "torn"),
        (result_before_its_offset, "I1 I4", "torn"),
        (garble_the_map, "I4", ""),
        (overlap_in_a_lane, "I8", "order_violations"),
    ],
)
def test_what_should_not_be_is_found(
    plant: Callable[[World], None], invariants: str, count: str
) -> None:
    world = World()
    plant(world)
    report = world.check()
    assert sorted(report.found) == invariants.split()
    assert not report.ok
    assert "VIOLATED" in report.text()
    if count:
        assert getattr(report, count) == 1


def test_without_order_tasks_of_a_key_may_overlap() -> None:
    world = World(ordering="none")
    overlap_in_a_lane(world)
    assert world.check().ok


def test_results_of_a_group_that_committed_nothing_are_torn() -> None:
    world = World(map=CompletionMap(0, 0), metadata="")
    report = world.check()
    assert report.torn == 4


def test_violations_are_counted_in_full_and_kept_in_part() -> None:
    world = World()
    world.submitted |= {f"z{i}": "" for i in range(VIOLATIONS_MAX + 20)}
    report = world.check()
    assert report.lost == report.found["I1"] == VIOLATIONS_MAX + 20
    assert len(report.violations) == VIOLATIONS_MAX
    assert report.text().endswith("… and 20 more")


def test_what_retention_removed_cannot_be_checked() -> None:
    log = World().log()
    log.delete_before(TOPICS.tasks(POOL), 0, 1)
    with pytest.raises(DataLost, match="begins at offset 1"):
        check(log, TOPICS, pools=[POOL])


def test_a_pool_that_does_not_exist_is_named() -> None:
    with pytest.raises(TopicMissing, match=r"tasks\.other"):
        check(World().log(), TOPICS, pools=["other"])
