"""How a task becomes a record on its agent's topic: for clients and for handlers alike."""

from __future__ import annotations

from streams.avro import decode
from streams.errors import (
    DeadlineTooLate,
    InputTooLarge,
    RecordUndecodable,
    TopicMissing,
    UsageError,
)
from streams.ids import partition_of
from streams.records import AgentCard, Task, TopicCard
from streams.topics import DEADLINE_DEFAULT_MS

OVERHEAD_BYTES = 512
"""What a record takes beside its value, generously: batch header, key, headers."""
KEY_MAX = 1_024
"""Bytes of a key."""
TEXT_MAX = 200
"""Characters of an id, a tenant, a cost's resource or kind: every result and cost carries them,
and one that does not fit its topic would stop the pool."""


def topic_card(card: AgentCard, kind: str) -> TopicCard:
    """The card of one of the pool's topics: ``tasks``, ``results`` or ``dead``."""
    for topic in card.topics:
        if topic.kind == kind:
            return topic
    raise TopicMissing(
        f"the card of '{card.agent}' names no {kind} topic",
        hint="`streams topic apply` writes the card anew",
    )


def new_task(
    card: AgentCard,
    body: bytes,
    now: int,
    *,
    task_id: str,
    run_id: str | None = None,
    parent_task_id: str | None = None,
    key: str | None = None,
    tenant: str = "",
    deadline: int | None = None,
    redrive_of: str | None = None,
) -> Task:
    """A task stamped for its agent; times in microseconds since the epoch.

    Raises DeadlineTooLate where the topic's retention could delete it before its deadline.
    """
    latest = now + card.deadline_max_ms * 1000
    if latest <= now:
        raise DeadlineTooLate(
            f"the topic of '{card.agent}' keeps tasks too short for any deadline",
            hint="raise retention.ms of its tasks topic, then `streams topic apply`",
        )
    if deadline is None:
        deadline = min(now + DEADLINE_DEFAULT_MS * 1000, latest)
    elif deadline > latest:
        raise DeadlineTooLate(
            f"the deadline is {(deadline - now) / 3.6e9:.1f} hours away, the topic of "
            f"'{card.agent}' keeps tasks for deadlines of {card.deadline_max_ms / 3.6e6:.1f}",
            hint="give an earlier deadline, or raise the topic's retention",
        )
    elif deadline <= now:
        raise UsageError("the deadline is in the past", hint="give a later one")
    if key is not None and not 0 < len(key.encode()) <= KEY_MAX:
        raise UsageError(f"a key has 1 to {KEY_MAX} bytes, this one {len(key.encode())}")
    for what, text in (("task_id", task_id), ("tenant", tenant)):
        if len(text) > TEXT_MAX:
            raise UsageError(
                f"a {what} has at most {TEXT_MAX} characters, this one {len(text)}",
                hint="a name is enough; details belong into the input",
            )
    return Task(
        task_id,
        run_id or task_id,
        card.agent,
        now,
        deadline,
        body,
        parent_task_id=parent_task_id,
        agent_version=card.agent_version,
        key=key,
        tenant=tenant,
        redrive_of=redrive_of,
    )


def read_task(key: bytes | None, value: bytes) -> Task:
    """The task in a record of a ``tasks`` topic, whoever wrote it.

    RecordUndecodable if it is none, or if its texts are longer than ``new_task`` lets them be.
    """
    task = decode(value, Task)
    if (
        len(task.task_id) > TEXT_MAX
        or len(task.run_id) > TEXT_MAX
        or len(task.tenant) > TEXT_MAX
        or len(task.parent_task_id or "") > TEXT_MAX
        or len(task.redrive_of or "") > TEXT_MAX
        or len(key or b"") > KEY_MAX
    ):
        raise RecordUndecodable(
            f"an id or the tenant is longer than {TEXT_MAX} characters, or the key than "
            f"{KEY_MAX} bytes",
            hint="what carries them would not fit its topic; shorten them where they are written",
        )
    return task


def record_key(task: Task) -> bytes:
    """The record's key: the task's own, else its id."""
    return (task.key or task.task_id).encode()


def outgoing(card: AgentCard, task: Task, value: bytes) -> tuple[str, int, bytes, bytes]:
    """(topic, partition, key, value) of the record; InputTooLarge if the topic refuses it."""
    topic = topic_card(card, "tasks")
    key = record_key(task)
    size = len(value) + len(key) + OVERHEAD_BYTES
    if size > topic.max_message_bytes:
        raise InputTooLarge(
            f"the input of '{card.agent}' makes a record of {size} bytes, "
            f"its topic takes {topic.max_message_bytes}",
            hint="send less, or store the input elsewhere and send where it is",
        )
    return topic.name, partition_of(key, topic.partitions), key, value
