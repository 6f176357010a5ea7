"""How the tasks and the workers of a storm must end: the part of the verdict that knows the load.

Pure functions, as in ``verdict``; times are seconds since the epoch.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence

from streams.records import Status
from streams.verify import Violation
from streams.verify.evidence import Ended, Evidence

from .agents import EXIT_CODE, FOR_EVER
from .diary import Struck, Window, longest_outside, windows
from .verdict import NO_BROKER, NO_BROKER_S, RECOVERED_S
from .workers import END_S, Life

End = tuple[Status, str]
"""Status and reason of a result."""
SUCCEEDS: End = ("succeeded", "")
EXPIRES: End = ("expired", "deadline")
KILLS: End = ("failed", "killed_worker")
MUST: Mapping[str, Sequence[End]] = {
    "gives-up": [("failed", "permanent_error")],
    f"fails-{FOR_EVER}": [("failed", "attempts_exhausted")],
    "leak": [KILLS],
    "exit": [KILLS],
    "segfault": [KILLS],
    # Its worker stands still until it may own nothing any more: in time, or again and again.
    "seize": [SUCCEEDS, KILLS],
}
"""By nature; what is not here succeeds."""
MAY_EXPIRE = "+short"
CODES = {"exit": EXIT_CODE, "segfault": -signal.SIGSEGV}
"""How a task of this nature ends the process that runs it."""
ASKED = (-signal.SIGTERM, -signal.SIGUSR1)
"""The end of a process that was asked before it could listen."""
SEEN_S = 1.0
"""How late the supervisor may have noticed an end."""


def outcomes(
    evidence: Evidence, natures: Mapping[str, str], charges: Mapping[str, int]
) -> Iterator[Violation]:
    """I3: each task ends as its nature says, with the charges of attempts that it made.

    What another task caused succeeds, by the deadline of that one. ``charges`` is what each agent
    charges per attempt.
    """
    for task_id, ended in evidence.results.items():
        task = evidence.tasks.get(task_id)
        if task is None:
            continue  # which is a violation by itself
        nature, _, _ = natures.get(task_id, "plain").partition(MAY_EXPIRE)
        found = ended.status, ended.reason
        short = MAY_EXPIRE in natures.get(task.parent_task_id or task_id, "")
        if short and found == EXPIRES and ended.finished_at >= task.deadline:
            continue
        must = MUST.get(nature, [SUCCEEDS])
        if found not in must:
            wanted = " or ".join(map(_said, must))
            yield Violation("I3", f"is '{nature}' and {_said(found)}, not {wanted}", task_id)
        elif (wrong := _wrong_charges(ended, charges[ended.agent])) is not None:
            yield Violation("I3", f"is '{nature}' and {wrong}", task_id)


def _wrong_charges(ended: Ended, each: int) -> str | None:
    """An attempt that came to an end is charged; one that died with its worker is not."""
    paid, rest = divmod(ended.cost_micros, each)
    least = 0 if (ended.status, ended.reason) == KILLS else 1
    if rest or not least <= paid <= ended.attempt:
        return f"costs {ended.cost_micros} after {ended.attempt} attempts at {each}"
    return None


def _said(end: End) -> str:
    status, reason = end
    return f"{status} ({reason})" if reason else status


def deadly(evidence: Evidence, natures: Mapping[str, str]) -> dict[int, list[Window]]:
    """By exit code: while tasks were open that end their worker with it."""
    found: dict[int, list[Window]] = {code: [] for code in CODES.values()}
    for task_id, nature in natures.items():
        code = CODES.get(nature)
        task, ended = evidence.tasks.get(task_id), evidence.results.get(task_id)
        if code is not None and task is not None:
            until = ended.appended_ms / 1000 if ended is not None else float("inf")
            found[code].append((task.appended_ms / 1000, until))
    return found


def quits(
    lives: Iterable[Life],
    diary: Sequence[Struck],
    deadly: Mapping[int, Sequence[Window]],
    heard: Iterable[int],
) -> Iterator[Violation]:
    """I13: a worker ends when it is asked, in time and in order, or by what a task does to it.

    One that is started while no broker answers may give that up. ``heard`` are the processes
    that ever beat: what had not begun yet when it was asked may end by the signal itself.
    """
    outages = [(s, u + RECOVERED_S) for s, u in windows(diary, reach="brokers")]
    begun = set(heard)
    for life in lives:
        code, where = life.code, f"worker {life.slot}"
        if life.overran:
            yield Violation("I13", f"did not end within {END_S:.0f} s: {life.log}", where)
            continue
        if code is None or life.killed or (life.asked and code == 0):
            continue
        ended = life.ended or life.started
        if any(since <= ended <= until + SEEN_S for since, until in deadly.get(code, ())):
            continue
        if life.asked and code in ASKED and life.pid not in begun:
            continue
        span = life.started, ended
        if code == NO_BROKER and longest_outside(span, outages) < NO_BROKER_S:
            continue
        if "PYTHONPATH" in life.launch.environment:
            continue  # older code, which had its own faults
        how = "was asked to end and ended" if life.asked else "ended by itself"
        yield Violation("I13", f"{how} with {code}: {life.log}", where)
