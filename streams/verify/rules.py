"""The rules: each compares parts of the evidence and notes what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from streams.core.offsets import CompletionMap, decode
from streams.errors import MapUnreadable
from streams.ports import Committed, Log
from streams.topics import Topics
from streams.verify.evidence import Ended, Evidence, Source, at, gather
from streams.verify.report import Report


def check(
    log: Log,
    topics: Topics,
    submitted: Mapping[str, str] | None = None,
    *,
    pools: Sequence[str],
    uncertain: Mapping[str, str] | None = None,
) -> Report:
    """Check I1–I5 and I8 on everything the pools' topics hold; blocks.

    ``pools`` are all pools whose tasks cause each other. ``submitted`` maps the id of every
    task that was ever submitted from outside, and acknowledged, to ``input_hash`` of its
    input; without it the log's own tasks stand for it. ``uncertain`` are likewise those that
    were never acknowledged: they may be in the log or not. The pools must be at rest: a task
    still under way counts as lost. DataLost if retention has removed anything, TopicMissing.
    """
    return judge(gather(log, topics, pools), submitted, uncertain)


def judge(
    evidence: Evidence,
    submitted: Mapping[str, str] | None = None,
    uncertain: Mapping[str, str] | None = None,
) -> Report:
    """As ``check``, on evidence that was gathered before."""
    report = Report()
    asked = submitted if submitted is None else {**_arrived(evidence, uncertain), **submitted}
    _count(evidence, asked, report)
    _answered(evidence, submitted or {}, report)
    _invented(evidence, asked, report)
    for ended in (*evidence.results.values(), *evidence.results_again):
        _faithful(evidence, ended, report)
    torn = {
        *_torn_costs(evidence, report),
        *_torn_children(evidence, report),
        *_torn_dead_letters(evidence, report),
        *_torn_offsets(evidence, report),
    }
    report.torn = len(torn)
    _sums(evidence, report)
    _order(evidence, report)
    return report


def _count(evidence: Evidence, submitted: Mapping[str, str] | None, report: Report) -> None:
    tasks = evidence.tasks
    outside = sum(1 for task in tasks.values() if not _is_caused(task))
    report.caused = len(tasks) - outside
    report.submitted = outside if submitted is None else len(submitted)
    report.answered = sum(1 for task in evidence.results if task in tasks)
    report.undecodable = sum(
        1 for held in evidence.sources.values() for source in held.values() if not source.task_id
    )
    report.dead = len(evidence.dead)
    report.by_status.update(ended.status for ended in evidence.results.values())
    report.cost_records = len(evidence.cost_ids) + len(evidence.costs_again)
    report.cost_micros = sum(evidence.costs.values())
    report.cost_by_agent.update(evidence.costs_by_agent)
    report.cost_by_tenant.update(evidence.costs_by_tenant)


def _arrived(evidence: Evidence, uncertain: Mapping[str, str] | None) -> dict[str, str]:
    return {i: digest for i, digest in (uncertain or {}).items() if i in evidence.tasks}


def _is_caused(task: Source) -> bool:
    return task.parent_task_id is not None or task.redrive_of is not None


def _answered(evidence: Evidence, submitted: Mapping[str, str], report: Report) -> None:
    """I1 and I2: exactly one result for each task that anyone accepted."""
    for task_id in submitted:
        if task_id not in evidence.tasks:
            report.lost += 1
            report.add("I1", "was acknowledged and is not in the log", task_id)
    for task_id, source in evidence.tasks.items():
        if task_id not in evidence.results:
            report.lost += 1
            report.add("I1", f"has no result; it is at {at(source.place, source.offset)}", task_id)
    for ended in evidence.results_again:
        report.duplicates += 1
        report.add("I2", f"has another result, for {at(ended.place, ended.offset)}", ended.task_id)


def _invented(evidence: Evidence, submitted: Mapping[str, str] | None, report: Report) -> None:
    """I3: every task was asked for once, every result belongs to a task."""
    for source in evidence.tasks_again:
        report.invented += 1
        report.add("I3", f"is in the log again at {at(source.place, source.offset)}", source.where)
    for task_id, source in evidence.tasks.items():
        cause = source.parent_task_id or source.redrive_of
        if cause is not None:
            if cause not in evidence.tasks:
                report.invented += 1
                report.add("I3", f"names {cause} as its cause, which is not in the log", task_id)
        elif submitted is not None and task_id not in submitted:
            report.invented += 1
            report.add("I3", "was submitted by nobody", task_id)
        elif submitted is not None and submitted[task_id] != source.input_hash:
            report.add("I3", "has another input than was submitted", task_id)
    for where, why in evidence.unreadable:
        report.add("I3", why, where)


def _faithful(evidence: Evidence, ended: Ended, report: Report) -> None:
    """I3: a result says of its task what is true."""
    task = evidence.tasks.get(ended.task_id)
    if task is None:
        report.invented += 1
        report.add("I3", "has a result and is not in the log", ended.task_id)
        return
    source = evidence.sources.get(ended.place, {}).get(ended.offset)
    if source is None or source.task_id != ended.task_id:
        stated = at(ended.place, ended.offset)
        report.add("I3", f"its result names {stated}, where it is not", ended.task_id)
    elif ended.partition != ended.place[1]:
        report.add("I3", f"its result is in partition {ended.partition}", ended.task_id)
    if ended.input_hash != task.input_hash:
        report.add("I3", "its result echoes another input", ended.task_id)
    attempts_max = evidence.attempts_max.get((ended.agent, ended.agent_version))
    if attempts_max is not None and ended.attempt > max(attempts_max, task.attempt):
        report.add("I3", f"took {ended.attempt} attempts of {attempts_max}", ended.task_id)


def _torn_costs(evidence: Evidence, report: Report) -> set[str]:
    """I4: the costs of a task are those its result sums."""
    torn = set[str](evidence.costs_again)
    for task_id in evidence.costs_again:
        report.add("I4", "has a cost twice", task_id)
    for task_id, amount in evidence.costs.items():
        if task_id not in evidence.results:
            torn.add(task_id)
            report.add("I4", f"has costs of {amount} and no result", task_id)
    for task_id, ended in evidence.results.items():
        amount = evidence.costs.get(task_id, 0)
        if amount != ended.cost_micros:
            torn.add(task_id)
            report.add("I4", f"has costs of {amount}, its result {ended.cost_micros}", task_id)
    return torn


def _torn_children(evidence: Evidence, report: Report) -> set[str]:
    """I4: a task that another submitted came with that one's success."""
    torn = set[str]()
    for task_id, source in evidence.tasks.items():
        parent = source.parent_task_id
        if parent is None or parent not in evidence.tasks:
            continue
        ended = evidence.results.get(parent)
        if ended is None or ended.status != "succeeded":
            torn.add(task_id)
            report.add("I4", f"was submitted by {parent}, which has not succeeded", task_id)
    return torn


def _torn_dead_letters(evidence: Evidence, report: Report) -> set[str]:
    """I4: one dead letter, with the original bytes, for each failed or undecodable task."""
    torn = set[str]()

    def add(message: str, where: str) -> None:
        torn.add(where)
        report.add("I4", message, where)

    letters = Counter((letter.place, letter.offset) for letter in evidence.dead)
    for letter in evidence.dead:
        source = evidence.sources.get(letter.place, {}).get(letter.offset)
        where = letter.task_id or at(letter.place, letter.offset)
        if source is None or source.task_id != letter.task_id:
            add(f"its dead letter names {at(letter.place, letter.offset)}, where it is not", where)
            continue
        if source.checksum != letter.checksum:
            add("its dead letter holds other bytes", where)
        ended = evidence.results.get(letter.task_id) if letter.task_id else None
        if letter.task_id and (ended is None or ended.status != "failed"):
            add("has a dead letter and no failed result", where)
        elif ended is not None and ended.reason != letter.reason:
            add(f"failed by {ended.reason}, its dead letter says {letter.reason}", where)
    for held in evidence.sources.values():
        for source in held.values():
            ended = evidence.results.get(source.task_id) if source.task_id else None
            wanted = source.task_id is None or (ended is not None and ended.status == "failed")
            count = letters[source.place, source.offset]
            if wanted and not count:
                add("has no dead letter", source.where)
            elif count > 1:
                add(f"has {count} dead letters", source.where)
    return torn


def _torn_offsets(evidence: Evidence, report: Report) -> set[str]:
    """I4: an offset is finished in its group exactly if its task is."""
    torn = set[str]()
    letters = {(letter.place, letter.offset) for letter in evidence.dead}
    for place, committed in evidence.committed.items():
        try:
            done = _completion(committed)
        except MapUnreadable as error:
            report.add("I4", error.message, f"{place[0]}[{place[1]}]")
            continue
        holes = frozenset(done.incomplete)
        for offset, source in evidence.sources.get(place, {}).items():
            finished = offset < done.offset or (offset < done.high and offset not in holes)
            if source.task_id is None:
                ended = (place, offset) in letters
            else:
                ended = source.task_id in evidence.results
            if finished != ended:
                torn.add(source.where)
                how = "finished and has no end" if finished else "open and its task ended"
                report.add("I4", f"its offset {at(place, offset)} is {how}", source.where)
    return torn


def _completion(committed: Committed | None) -> CompletionMap:
    if committed is None:
        return CompletionMap(0, 0)
    if not committed.metadata:
        # Set by `group seek`: a bare offset without any map.
        return CompletionMap(committed.offset, committed.offset)
    return decode(committed.offset, committed.metadata)


def _sums(evidence: Evidence, report: Report) -> None:
    """I5: the costs and the results give the same sum for each tenant, so also overall."""
    stated = Counter[str]()
    for ended in evidence.results.values():
        stated[ended.tenant] += ended.cost_micros
    paid = evidence.costs_by_tenant
    for tenant in sorted(stated.keys() | paid.keys()):
        if stated[tenant] != paid.get(tenant, 0):
            report.add(
                "I5",
                f"costs sum to {paid.get(tenant, 0)}, results to {stated[tenant]}",
                f"tenant '{tenant}'",
            )


def _order(evidence: Evidence, report: Report) -> None:
    """I8: in each lane a task began no earlier than the one before it ended."""
    for held in evidence.sources.values():
        last: dict[bytes, Ended] = {}
        for offset in sorted(held):
            source = held[offset]
            ended = evidence.results.get(source.task_id) if source.task_id else None
            if ended is None or ended.offset != offset or source.key is None:
                continue
            if ended.agent in evidence.unordered:
                continue
            before = last.get(source.key)
            if before is not None and ended.started_at < before.finished_at:
                report.order_violations += 1
                early = before.finished_at - ended.started_at
                report.add("I8", f"began {early} µs before {before.task_id} ended", ended.task_id)
            last[source.key] = ended
