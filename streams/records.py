"""The records on the topics, one class per schema in ``schemas/``.

Fields stand in the order of the schema and carry its defaults; what a field means and its
unit are the schema's ``doc``. Timestamps are integer microseconds since the epoch (UTC).
The classes are not frozen, which triples the time to construct one, and have no slots: their
``__dict__`` is what the Avro writer takes. Every task makes several.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

Out = TypeVar("Out")

Status = Literal["succeeded", "failed", "cancelled", "expired"]
CostState = Literal["reserved", "settled", "released", "lost", "unpriced"]
WorkerState = Literal["starting", "running", "draining", "stopped"]
Ordering = Literal["key", "none"]
TopicKind = Literal["tasks", "results", "dead"]


@dataclass
class Task:
    """One unit of work for an agent; a record of tasks.<pool>."""

    task_id: str
    run_id: str
    agent: str
    submitted_at: int
    deadline: int
    input: bytes
    parent_task_id: str | None = None
    agent_version: str = ""
    key: str | None = None
    tenant: str = ""
    priority: int = 0
    attempt: int = 1
    answer_to: str | None = None
    redrive_of: str | None = None


@dataclass
class ErrorReport:
    """An error, readable without the code that raised it."""

    code: str = ""
    type: str = ""
    message: str = ""
    hint: str = ""
    frames: list[str] = field(default_factory=list[str])


@dataclass
class Result(Generic[Out]):
    """The single terminal record of a task; a record of results.<pool>.

    As read from the log it is a ``Result[bytes]``, the output still JSON.
    """

    task_id: str
    run_id: str
    agent: str
    agent_version: str
    worker_id: str
    attempt: int
    status: Status
    submitted_at: int
    started_at: int
    finished_at: int
    source_topic: str
    source_partition: int
    source_offset: int
    reason: str = ""
    partial: bool = False
    output: Out | None = None
    error: ErrorReport | None = None
    cost_micros: int = 0
    tenant: str = ""
    input_hash: str | None = None
    redrive_of: str | None = None
    parent_task_id: str | None = None


@dataclass
class Cost:
    """One exact amount that a task caused; a record of costs."""

    cost_id: str
    task_id: str
    run_id: str
    agent: str
    worker_id: str
    attempt: int
    kind: str
    resource: str
    units: int
    amount_micros: int
    at: int
    tenant: str = ""
    currency: str = "USD"
    state: CostState = "settled"
    price_version: str = ""


@dataclass
class PoolBeat:
    """One pool of a worker at the time of a heartbeat."""

    agent: str
    agent_version: str
    group: str
    capacity: int = 0
    in_flight: int = 0
    queued: int = 0
    incomplete: int = 0
    partitions: list[int] = field(default_factory=list[int])
    paused: list[int] = field(default_factory=list[int])
    quarantined: int = 0
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    retried: int = 0
    dead: int = 0
    finished_per_second: float = 0.0
    commit_micros_p50: int = 0
    commits: int = 0
    aborts: int = 0
    latency_bounds_micros: list[int] = field(default_factory=list[int])
    latency_counts: list[int] = field(default_factory=list[int])


@dataclass
class Heartbeat:
    """What a worker says about itself each second; a record of heartbeats."""

    worker_id: str
    slot: str
    host: str
    pid: int
    version: str
    sequence: int
    started_at: int
    at: int
    state: WorkerState
    cpu_micros: int = 0
    cpu_permille: int = 0
    rss_bytes: int = 0
    loop_lag_micros: int = 0
    blocked_by: str | None = None
    pools: list[PoolBeat] = field(default_factory=list[PoolBeat])


@dataclass
class Header:
    """One header of a Kafka record."""

    name: str
    value: bytes | None = None


@dataclass
class DeadLetter:
    """A record that cannot succeed, with its original; a record of dead.<pool>."""

    agent: str
    reason: str
    worker_id: str
    source_topic: str
    source_partition: int
    source_offset: int
    at: int
    task_id: str | None = None
    run_id: str | None = None
    agent_version: str = ""
    error: ErrorReport | None = None
    attempts: int = 0
    source_timestamp: int | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: list[Header] = field(default_factory=list[Header])
    tenant: str = ""
    value_hash: str | None = None


@dataclass
class TopicCard:
    """A topic of a pool as it was applied."""

    name: str
    kind: TopicKind
    partitions: int
    retention_ms: int
    max_message_bytes: int


@dataclass
class AgentCard:
    """What others need to know of an agent without its code; a record of agents."""

    agent: str
    agent_version: str
    pool: str
    input_schema: str
    output_schema: str
    deadline_max_ms: int
    published_at: int
    description: str = ""
    ordering: Ordering = "key"
    concurrency: int = 100
    attempts: int = 3
    timeout_ms: int | None = None
    topics: list[TopicCard] = field(default_factory=list[TopicCard])


AnyRecord = Task | Result[bytes] | Cost | Heartbeat | DeadLetter | AgentCard
"""What stands alone on a topic."""
