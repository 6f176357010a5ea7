"""Names of topics, groups and transactional ids, and the settings of topics: derived here only."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from streams.ids import is_name
from streams.ports import TopicSpec

PARTITIONS_DEFAULT = 12
DAY_MS = 86_400_000
DEADLINE_DEFAULT_MS = DAY_MS
RETENTION_MARGIN_MS = 2 * DAY_MS
"""Retention of tasks is the largest deadline plus this: a stopped group has two days to return."""
MAX_MESSAGE_BYTES = 1_048_576
REPORT_BYTES = 65_536
"""What a dead letter takes beside the original record, generously: its report."""

_FIXED_PARTITIONS = {"costs": 6, "heartbeats": 1, "agents": 1, "schemas": 1}


@dataclass(frozen=True, slots=True)
class Topics:
    """All names of one deployment; ``prefix`` is put before each with a dot."""

    prefix: str = ""

    def _name(self, name: str) -> str:
        return f"{self.prefix}.{name}" if self.prefix else name

    def tasks(self, pool: str) -> str:
        return self._name(f"tasks.{pool}")

    def results(self, pool: str) -> str:
        return self._name(f"results.{pool}")

    def dead(self, pool: str) -> str:
        return self._name(f"dead.{pool}")

    @property
    def costs(self) -> str:
        return self._name("costs")

    @property
    def heartbeats(self) -> str:
        return self._name("heartbeats")

    @property
    def agents(self) -> str:
        return self._name("agents")

    @property
    def schemas(self) -> str:
        return self._name("schemas")

    def group(self, pool: str) -> str:
        """The pool's consumer group."""
        return self._name(f"pool.{pool}")

    def transactional_id(self, pool: str, slot: str) -> str:
        """The transactional id and client id of one slot of a pool: ``<group>.<slot>``."""
        return f"{self.group(pool)}.{slot}"

    @property
    def option(self) -> str:
        """How a printed command is told of this deployment: `` --prefix x``, or nothing."""
        return f" --prefix {shlex.quote(self.prefix)}" if self.prefix else ""

    @staticmethod
    def of(topic: str) -> Topics:
        """The deployment that a ``tasks``, ``results`` or ``dead`` topic belongs to."""
        return Topics(topic.rpartition(".")[0].rpartition(".")[0])

    def pool_of(self, topic: str) -> str | None:
        """The pool of a ``tasks``, ``results`` or ``dead`` topic of this deployment, else None."""
        head = self._name("")
        if not topic.startswith(head):
            return None
        kind, dot, pool = topic[len(head) :].partition(".")
        return pool if dot and kind in ("tasks", "results", "dead") and is_name(pool) else None

    def of_pool(
        self,
        pool: str,
        *,
        partitions: int = PARTITIONS_DEFAULT,
        deadline_max_ms: int = DEADLINE_DEFAULT_MS,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> list[TopicSpec]:
        """The topics one pool needs, all with the same number of partitions."""
        keep = str(deadline_max_ms + RETENTION_MARGIN_MS)
        keep_results = str(max(7 * DAY_MS, deadline_max_ms + RETENTION_MARGIN_MS))
        size = str(max_message_bytes)
        # A dead letter carries the original record whole, beside its report.
        size_dead = str(2 * max_message_bytes)
        return [
            _spec(self.tasks(pool), partitions, "delete", keep, size),
            _spec(self.results(pool), partitions, "delete", keep_results, size),
            _spec(self.dead(pool), partitions, "delete", str(30 * DAY_MS), size_dead),
        ]

    def shared(self) -> list[TopicSpec]:
        """The topics that all pools share."""
        size = str(MAX_MESSAGE_BYTES)
        return [
            _spec(self.costs, _FIXED_PARTITIONS["costs"], "delete", str(30 * DAY_MS), size),
            _spec(self.heartbeats, _FIXED_PARTITIONS["heartbeats"], "delete", str(DAY_MS), size),
            _spec(self.agents, _FIXED_PARTITIONS["agents"], "compact", "-1", size),
            _spec(self.schemas, _FIXED_PARTITIONS["schemas"], "compact", "-1", size),
        ]


def _spec(name: str, partitions: int, cleanup: str, retention_ms: str, size: str) -> TopicSpec:
    return TopicSpec(
        name,
        partitions,
        {
            "cleanup.policy": cleanup,
            "retention.ms": retention_ms,
            "max.message.bytes": size,
            # Workers' clocks must not decide time for others (and INVALID_TIMESTAMP would
            # refuse everything a fast clock writes).
            "message.timestamp.type": "LogAppendTime",
        },
    )
