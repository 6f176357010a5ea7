"""The verdict: what must hold of a storm beside what the topics alone show.

Pure functions over what was gathered, with the diary of faults as ground truth. Times are
seconds since the epoch; the broker's, the workers' and the lane's clock are one machine's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from streams.inspect.workers import DEAD_AFTER_MS, Seen
from streams.records import Heartbeat
from streams.verify import Violation
from streams.verify.evidence import Evidence

from .diary import Struck, Window, longest_outside, total_outside, windows
from .follow import Beat
from .workers import Life, Sample

PROGRESS_S = 60.0
"""I13: after a heal a partition with open tasks has a new result within this."""
STANDSTILL_S = 120.0
"""I13: faults may follow each other, but a partition recovers from one in half of this."""
GRACE_S = 10.0
"""I13: an attempt is told to end at its deadline, and cut off 5 s later; the rest is the load."""
SHOWN_DEAD_S = DEAD_AFTER_MS / 1000 + 5.0
"""I16: session + 5 s."""
NO_BROKER, NO_BROKER_S = 3, 5.0
"""The exit code of a command that reached no broker, and how long it tries at least."""
BEATS_S = 2.0
"""I16: two beats."""
RECOVERED_S = 15.0
"""I16: how long after a broker's return heartbeats may still be missing."""
SETTLED_S = 20.0
"""I17: how long after its baseline a process can have grown."""
THREADS_MORE = 4
"""I17: of our own, such as those of a handler that blocks."""
CLIENTS_MORE = 3
"""I17: one of each pool is made when it is first needed, and one may be about to end."""
CLIENT_THREADS, BROKER_THREADS = 4, 2
"""I17: a client has threads of its own and for coordinators, and of each broker for its address and
for its number. How many there are follows what it knows of the brokers, not what it did."""
FILES_MORE = 16
FILES_OF_THREAD = 2
"""I17: a pipe for each thread of a client."""
CONNECTIONS_MORE = 8
"""I17: a thread of a client has at most one connection; those that it has come and go."""
RSS_MORE_BYTES = 96 * 2**20
"""I17: the bound of records held in memory, and what an allocator keeps of it."""
BEGUN_S = 10.0
"""I17: how long after its first beat with partitions in each pool a process has all it needs."""


@dataclass(slots=True)
class Partition:
    """A partition of the main pool over time; all lists ascend."""

    appended: list[float] = field(default_factory=list[float])
    """When each task came."""
    ended: list[float] = field(default_factory=list[float])
    """When each result came."""
    runs: list[Window] = field(default_factory=list[Window])
    """(start of the attempt that counted, when its result came)."""


def timelines(evidence: Evidence, topic: str) -> dict[int, Partition]:
    """What happened in each partition of a topic of tasks."""
    found: dict[int, Partition] = {}
    for (name, partition), held in evidence.sources.items():
        if name != topic:
            continue
        line = found[partition] = Partition()
        for source in held.values():
            ended = evidence.results.get(source.task_id) if source.task_id else None
            if ended is not None:
                line.appended.append(source.appended_ms / 1000)
                line.ended.append(ended.appended_ms / 1000)
                line.runs.append((ended.started_at / 1e6, ended.appended_ms / 1000))
        line.appended.sort()
        line.ended.sort()
        line.runs.sort()
    return found


# -- I13 ------------------------------------------------------------------------------------


def stalls(lines: Mapping[int, Partition], diary: Sequence[Struck]) -> Iterator[Violation]:
    """I13: no partition with open tasks is without a result for longer than PROGRESS_S after
    the faults that hit it were healed, nor, however it is struck, for longer than STANDSTILL_S
    beside the times in which nothing could go on."""
    outages = windows(diary, since="heal")
    for partition, line in sorted(lines.items()):
        excused = windows(diary, partition=partition)
        for since, until in silences(line):
            if until - since <= PROGRESS_S:
                continue
            alone = longest_outside((since, until), excused)
            in_all = total_outside((since, until), outages)
            if alone > PROGRESS_S or in_all > STANDSTILL_S:
                yield Violation(
                    "I13",
                    f"had open tasks and no result for {in_all:.1f} s, "
                    f"{alone:.1f} of them without a fault",
                    f"partition {partition} at {since:.3f}",
                )


def silences(line: Partition) -> Iterator[Window]:
    """From one result to the next, as far as tasks were open all along."""
    return (silence(line, number) for number in range(len(line.ended)))


def silence(line: Partition, number: int) -> Window:
    """The time before this result in which tasks were open and no other result came."""
    # As many tasks as results so far: this one came when the partition was idle.
    since = line.appended[number]
    return (max(line.ended[number - 1], since) if number else since), line.ended[number]


def overdue(
    evidence: Evidence, diary: Sequence[Struck], lives: Iterable[Life]
) -> Iterator[Violation]:
    """I13: no attempt runs on beyond its task's deadline and GRACE_S, but for brokers that do not
    answer and processes that are stopped."""
    stopped = [window for life in lives for window in life.stops]
    excused = [*windows(diary, reach="brokers"), *stopped]
    for task_id, ended in evidence.results.items():
        task = evidence.tasks.get(task_id)
        if task is None or not task.deadline:
            continue
        since, until = max(task.deadline, ended.started_at) / 1e6, ended.finished_at / 1e6
        if until - since > GRACE_S and longest_outside((since, until), excused) > GRACE_S:
            yield Violation(
                "I13", f"was in flight {until - since:.1f} s after its deadline", task_id
            )


# -- I14 ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that cannot succeed: where it is and while it was open."""

    partition: int
    key: bytes | None
    open: Window


def delayed(
    evidence: Evidence,
    topic: str,
    poisons: Sequence[Poison],
    deaths: Mapping[int, Sequence[float]],
    retry_s: float,
) -> Iterator[Violation]:
    """I14: beside a poison no task of another key waits longer than one retry interval.

    ``deaths`` are the times at which the owner of each partition died; until the partition's
    next attempt begins nobody runs it, and that time does not count. Nor does a task's own run.
    """
    lines = timelines(evidence, topic)
    down = {
        partition: [(at, at + (_started(lines[partition], at) or 0.0)) for at in times]
        for partition, times in deaths.items()
        if partition in lines
    }
    for (name, partition), held in evidence.sources.items():
        if name != topic:
            continue
        near = [poison for poison in poisons if poison.partition == partition]
        for source in held.values():
            ended = evidence.results.get(source.task_id) if source.task_id else None
            if ended is None:
                continue
            span = source.appended_ms / 1000, ended.appended_ms / 1000
            beside = any(
                p.key != source.key and span[0] < p.open[1] and span[1] > p.open[0] for p in near
            )
            own = (ended.finished_at - ended.started_at) / 1e6
            waited = total_outside(span, down.get(partition, ())) - own
            if beside and waited > retry_s:
                yield Violation(
                    "I14", f"waited {waited:.1f} s beside a poison of another key", source.where
                )


def _started(line: Partition, since: float) -> float | None:
    first = bisect_right(line.runs, (since, float("inf")))
    return line.runs[first][0] - since if first < len(line.runs) else None


# -- I16 ------------------------------------------------------------------------------------


def shown(
    lives: Iterable[Life], beats: Iterable[Beat], diary: Sequence[Struck], until: float
) -> Iterator[Violation]:
    """I16: what ``streams worker list`` would have said of each process at each moment."""
    outages = [(s, u + RECOVERED_S) for s, u in windows(diary, reach="brokers")]
    for life, said in beats_by_life(lives, beats):
        if said:
            yield from _shown_dead(life, said, outages, until)
            yield from _shown_alive(life, said, outages, until)


def beats_by_life(
    lives: Iterable[Life], beats: Iterable[Beat]
) -> Iterator[tuple[Life, list[Beat]]]:
    """Each start of a worker with its heartbeats: the system gives a number away again."""
    starts: dict[int, list[tuple[Life, list[Beat]]]] = {}
    for life in sorted(lives, key=lambda life: life.started):
        starts.setdefault(life.pid, []).append((life, []))
    for beat in beats:
        known = starts.get(beat.pid, [])
        number = bisect_right(known, beat.appended_ms / 1000, key=lambda start: start[0].started)
        if number:
            known[number - 1][1].append(beat)
    for known in starts.values():
        yield from known


def state_at(said: Sequence[Beat], moment: float) -> str | None:
    """The state that the newest beat shows at a moment."""
    at_ms = round(moment * 1000)
    before = [beat for beat in said if beat.appended_ms <= at_ms]
    return Seen(before[-1].beat, at_ms - before[-1].appended_ms).state if before else None


def _shown_dead(
    life: Life, said: Sequence[Beat], outages: Sequence[Window], until: float
) -> Iterator[Violation]:
    if life.ended is None:
        return
    moment = life.ended + SHOWN_DEAD_S
    if moment > until or longest_outside((life.ended, moment), outages) < SHOWN_DEAD_S:
        return
    state = state_at(said, moment)
    if state not in (None, "dead", "stopped"):
        yield Violation(
            "I16", f"was dead for {SHOWN_DEAD_S:g} s and shown as {state}", _named(life)
        )


def _shown_alive(
    life: Life, said: Sequence[Beat], outages: Sequence[Window], until: float
) -> Iterator[Violation]:
    # After SIGCONT the next beat needs a moment; while it is stopped it is not alive.
    excused = [*outages, *((since, end + 1.0) for since, end in life.stops)]
    end = min(life.ended or until, until)
    times = [beat.appended_ms / 1000 for beat in said if beat.appended_ms / 1000 <= end]
    if said[-1].beat.state != "stopped":
        times.append(end)
    for before, after in pairwise(times):
        dead_from = before + DEAD_AFTER_MS / 1000
        if after - dead_from <= BEATS_S:
            continue
        lasted = longest_outside((before, after), excused) - DEAD_AFTER_MS / 1000
        if lasted > BEATS_S:
            yield Violation("I16", f"lived and was shown as dead for {lasted:.1f} s", _named(life))


def _named(life: Life) -> str:
    return f"worker {life.slot} (pid {life.pid})"


# -- I17 ------------------------------------------------------------------------------------


def grown(
    lives: Iterable[Life], beats: Iterable[Beat], at_rest: Mapping[int, Sample], brokers: int
) -> Iterator[Violation]:
    """I17: what a surviving process holds at rest is what it held when it had begun."""
    for life, said in beats_by_life(lives, beats):
        runs = (beat.appended_ms / 1000 for beat in said if _has_all(beat.beat))
        last = at_rest.get(life.pid) if life.ended is None else None
        begun = next(runs, float("inf")) + BEGUN_S
        first = next((sample for sample in life.samples if sample.at >= begun), None)
        if first is None or last is None or last.at - first.at < SETTLED_S:
            continue
        files = FILES_OF_THREAD * max(0, last.client_threads - first.client_threads)
        connected = last.client_threads + CONNECTIONS_MORE
        of_clients = last.clients * (CLIENT_THREADS + BROKER_THREADS * brokers)
        for what, before, after, most in (
            ("files", first.files, last.files, first.files + files + FILES_MORE),
            ("threads", first.threads, last.threads, first.threads + THREADS_MORE),
            ("clients", first.clients, last.clients, first.clients + CLIENTS_MORE),
            ("threads of clients", first.client_threads, last.client_threads, of_clients),
            ("connections", first.connections, last.connections, connected),
            ("bytes of memory", first.rss_bytes, last.rss_bytes, first.rss_bytes + RSS_MORE_BYTES),
        ):
            if after > most:
                yield Violation(
                    "I17", f"holds {after} {what} at rest, {before} when it began", _named(life)
                )


def _has_all(beat: Heartbeat) -> bool:
    return beat.state == "running" and all(pool.partitions for pool in beat.pools)


def left_behind(files: Iterable[str]) -> Iterator[Violation]:
    """I17: workers leave nothing on the disk."""
    for path in files:
        yield Violation("I17", "was left on the disk by a worker", path)


# -- recovery -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long a fault was felt; seconds, None where the partitions had nothing to do."""

    back_s: float | None
    """From the strike (or the heal, where nothing can go on before) until every partition that
    it hit had a result of an attempt that began after it."""
    pause_s: float | None
    """The longest time that one of them was without a result while tasks were open."""


def recovery(struck: Struck, lines: Mapping[int, Partition]) -> Recovery:
    """How long a fault was felt."""
    hit = [line for partition, line in lines.items() if struck.hits(partition)]
    back = [b for line in hit if (b := _back(line, struck.counts_from)) is not None]
    end = max(struck.healed, struck.counts_from + max(back, default=0.0))
    pauses = [pause for line in hit if (pause := _pause(line, struck.struck, end)) is not None]
    return Recovery(max(back, default=None), max(pauses, default=None))


def _back(line: Partition, since: float) -> float | None:
    first = bisect_right(line.runs, (since, float("inf")))
    # Of those that began soonest, one that ran for seconds is not the first to end.
    ended = [end for _, end in line.runs[first : first + 50]]
    return min(ended) - since if ended else None


def _pause(line: Partition, since: float, until: float) -> float | None:
    first, last = bisect_left(line.ended, since), bisect_right(line.ended, until)
    found = (silence(line, n) for n in range(first, min(last + 1, len(line.ended))))
    return max((end - max(begin, since) for begin, end in found), default=None)
