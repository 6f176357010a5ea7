"""The agents of a deployment as rows."""

from __future__ import annotations

from typing import Any

from streams.inspect.places import iso
from streams.records import AgentCard


def card_row(card: AgentCard) -> dict[str, Any]:
    """One line about an agent."""
    tasks = next((topic for topic in card.topics if topic.kind == "tasks"), None)
    return {
        "agent": card.agent,
        "version": card.agent_version,
        "partitions": tasks.partitions if tasks else None,
        "concurrency": card.concurrency,
        "attempts": card.attempts,
        "timeout_ms": card.timeout_ms,
        "ordering": card.ordering,
        "description": card.description,
        "published_at": iso(card.published_at),
    }
