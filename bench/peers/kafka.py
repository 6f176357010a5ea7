"""Names of the peers on Kafka, different in each run: members of a killed worker linger."""

from __future__ import annotations

import os

GROUP = os.environ.get("BENCH_NAME", "peer")


def tasks_topic(group: str) -> str:
    """Where a group's tasks wait."""
    return f"{group}.tasks"


def results_topic(group: str) -> str:
    """Where its results go."""
    return f"{group}.results"


TASKS, RESULTS = tasks_topic(GROUP), results_topic(GROUP)
