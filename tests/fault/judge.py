"""Judges a storm while its brokers still serve: every rule, and the results of the storm."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.errors import LogError
from streams.inspect.workers import seen_workers
from streams.threads import ThreadRunner
from streams.verify import Violation
from streams.verify.evidence import Evidence, gather
from streams.verify.rules import judge as judge_topics

from . import ends, submissions, verdict
from .agents import CHARGES
from .field import LiveField
from .results import storm_results
from .storm import Storm

STABLE_S = 60.0


def judge(field: LiveField, storm: Storm) -> dict[str, Any]:
    """The results of a storm, its violations among them; its workers have ended then."""
    at_rest = [
        *_at_rest(storm),
        *verdict.shown(storm.lives, storm.beats, storm.diary, storm.ended),
        *_listed(field, storm),
        *verdict.grown(storm.lives, storm.beats, storm.at_rest, len(field.brokers)),
        *verdict.left_behind(storm.files_left),
    ]
    field.send_home()
    stable = field.until(lambda: _is_stable(field), STABLE_S)
    # Behind a transaction that is still open may stand what should not be there.
    pause = time.sleep if stable else None
    evidence = gather(field.log, field.topics, field.pools, stable=stable, pause=pause)
    asked = submissions.read(field.submissions)
    # A deadline has passed by the clock of whoever runs the task.
    ended_otherwise = [*ends.outcomes(evidence, asked.natures, CHARGES)]
    set_right(evidence, field.clocks_ahead_micros)
    report = judge_topics(evidence, asked.acknowledged, asked.uncertain)
    lines = verdict.timelines(evidence, field.topics.tasks(field.pools[0]))
    heard = {beat.pid for beat in storm.beats}
    found = [
        *report.violations,
        *ended_otherwise,
        *at_rest,
        *field.seen,
        *_held(stable),
        *verdict.stalls(lines, storm.diary),
        *verdict.overdue(evidence, storm.diary, storm.lives),
        *ends.quits(storm.lives, storm.diary, ends.deadly(evidence, asked.natures), heard),
    ]
    return storm_results(storm, evidence, lines, report, len(asked.uncertain), found)


def _is_stable(field: LiveField) -> bool:
    """Whether nothing holds an offset of the groups: what arrived late is ended by workers."""
    admin, topics = field.log.admin(), field.topics
    try:
        for pool in field.pools:
            partitions = range(admin.topics([topics.tasks(pool)])[topics.tasks(pool)].partitions)
            admin.committed(topics.group(pool), topics.tasks(pool), partitions)
    except LogError:
        return False
    return True


def set_right(evidence: Evidence, ahead_micros: Mapping[str, int]) -> None:
    """Put what workers with a wrong clock wrote on the clock of the others."""
    for task_id, ended in evidence.results.items():
        ahead = ahead_micros.get(ended.worker_id, 0)
        if ahead:
            evidence.results[task_id] = ended._replace(
                started_at=ended.started_at - ahead, finished_at=ended.finished_at - ahead
            )


def _at_rest(storm: Storm) -> Iterator[Violation]:
    if storm.left is not None:
        yield Violation("I13", f"did not end long after the load did: {storm.left}", "the storm")


def _held(stable: bool) -> Iterator[Violation]:
    if not stable:
        yield Violation("I13", f"offsets are held {STABLE_S:.0f} s after the last task", "a group")


def _listed(field: LiveField, storm: Storm) -> Iterator[Violation]:
    """I16 once more, as ``streams worker list`` itself says it now."""
    catalog = Catalog(field.log, field.topics, SystemClock(), ThreadRunner())
    listed = seen_workers(field.log, field.topics, catalog, SystemClock())
    # The newest of each number, which the system gives away again.
    states = {seen.beat.pid: seen.state for seen in sorted(listed, key=lambda seen: -seen.age_ms)}
    lives = {life.pid: life for life in sorted(storm.lives, key=lambda life: life.started)}
    for life in lives.values():
        state = states.get(life.pid)
        where = f"worker {life.slot} (pid {life.pid})"
        if life.ended is None and state != "running":
            yield Violation("I16", f"runs and is listed as {state}", where)
        old = life.ended is not None and storm.ended - life.ended > verdict.SHOWN_DEAD_S
        if old and state not in (None, "dead", "stopped"):
            yield Violation("I16", f"is dead and listed as {state}", where)
