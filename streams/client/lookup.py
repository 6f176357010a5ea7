"""Tasks under a caller's own id: submitted once, however often the call is repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from streams.avro import decode
from streams.catalog import read_all, unanswered
from streams.core.outbox import Outgoing
from streams.core.verdicts import DENIED_KINDS
from streams.errors import BrokerUnreachable, LogError, RecordUndecodable, TaskDuplicate
from streams.ports import Clock, Log, Runner
from streams.records import Task

TRIES_MAX = 5
CALL_TIMEOUT_S = 10.0


class Found(NamedTuple):
    """A task in the log, and when the broker appended it (milliseconds since the epoch)."""

    task: Task
    appended_ms: int


def find_task(
    log: Log,
    clock: Clock,
    record: Outgoing,
    task_id: str,
    pause: Callable[[float], object],
) -> Found | None:
    """The task with this id in its partition, or None; reads the partition, comparing keys.

    Waits for the end of transactions that are open there: the task may stand behind them.
    """
    for found in read_all(log, record.topic, [record.partition], clock, pause=pause):
        if found.key() != record.key:
            continue
        try:
            task = decode(found.value() or b"", Task)
        except RecordUndecodable:
            continue
        if task.task_id == task_id:
            return Found(task, found.timestamp()[1])
    return None


def submit_once(
    log: Log,
    clock: Clock,
    runner: Runner,
    group: str,
    task: Task,
    record: Outgoing,
) -> Found | None:
    """Write the task unless its id is in the log; returns the earlier task if there is one.

    Exact also for callers at the same time: the id is a transactional id, so of two callers
    one is fenced, looks again, and finds the other's task. Blocks. TaskDuplicate if the
    earlier task has another input.
    """

    def pause(seconds: float) -> None:
        runner.wait_until(lambda: False, seconds, lambda: None)

    for _ in range(TRIES_MAX):
        producer = log.transactional_producer(f"{group}.submit.{task.task_id}", group=group)
        try:
            producer.init(CALL_TIMEOUT_S)
            earlier = find_task(log, clock, record, task.task_id, pause)
            if earlier is not None:
                if earlier.task.input != task.input:
                    raise TaskDuplicate(
                        f"task id '{task.task_id}' was used before with another input",
                        hint="an id names one piece of work; choose another for new work",
                    )
                return earlier
            producer.begin()
            producer.produce(*record)
            producer.commit(CALL_TIMEOUT_S)
        except LogError as error:
            if error.kind in DENIED_KINDS or error.kind == "TOPIC_AUTHORIZATION_FAILED":
                raise
            why = unanswered(error)
            if why is not error:
                raise why from error
            # Fenced or unknown: look again, now as the newest owner of the id.
            last = error
        else:
            return None
        finally:
            producer.destroy()
    raise BrokerUnreachable(f"task '{task.task_id}' could not be written: {last}")  # pyright: ignore[reportPossiblyUnboundVariable]
