"""Where the CPU of a task goes: by thread exactly, and inside threads by samples.

The kernel counts the CPU of each thread; no profiler disturbs that run. A second run is
sampled from outside the process (py-spy), and only the thread that holds the interpreter's lock
counts: a thread that waits inside the Kafka client looks busy whenever a sample wakes it. A
thread's samples divide its CPU over the stages.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.load import make_topics, preload
from bench.own import SPINE, WAITING_PARTITIONS, Bench
from bench.processes import LIMIT_S, ROOT, command, module
from bench.series import Series

PY_SPY = ROOT / ".venv-bench" / "bin" / "py-spy"
SAMPLES_PER_S = 200
MICROS = "CPU per task, µs"
LOOP, POLL, COMMIT, CLIENT, REST = "event loop", "poll", "commit", "Kafka client", "other threads"
PARTIES = {
    "streams/worker/commit.py": COMMIT,
    "streams/worker/poll.py": POLL,
    "bench/spine.py": LOOP,
}
"""A thread is known by a file that is on its stack as long as it runs; the first one counts."""
STAGES = (
    ("streams/avro.py:decode", "decode"),
    ("streams/avro.py", "encode"),
    ("streams/address.py", "validate"),
    ("streams/agent.py", "validate"),
    ("pydantic/", "validate"),
    ("bench/agents.py", "handler"),
    ("bench/payload.py", "handler"),
    ("bench/spine.py:counted", "handler"),
    ("streams/kafka/producer.py:KafkaTransactionalProducer.produce", "produce"),
    ("streams/kafka/producer.py:KafkaTransactionalProducer.send_offsets", "send offsets"),
    ("streams/kafka/producer.py:KafkaTransactionalProducer", "begin, commit"),
    ("streams/kafka/consumer.py", "fetch"),
    ("streams/kafka/batch.py", "fetch"),
    ("streams/core/", "lanes, ledger, map"),
    ("streams/worker/work.py", "outbox"),
    ("streams/worker/task_context.py", "context"),
    ("streams/worker/execute.py", "run"),
    ("streams/worker/pool.py", "run"),
    ("streams/worker/poll.py", "hand over"),
    ("streams/worker/commit.py", "settle"),
    ("streams/threads.py", "wake a thread"),
)
"""Where a frame's place begins with this, its time is this stage's; the first that fits counts."""
OTHER = "asyncio and the rest"
IMPORT = "importlib"
"""What the start of the process takes is nothing that a task pays."""


def stages(bench: Bench) -> Iterator[Series]:
    """CPU microseconds per task, of each thread and of each stage in it."""
    case = f"{WAITING_PARTITIONS} partitions"
    exact = _run(bench, "exact", [])
    by_party = parties(exact)
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder:
        stacks = Path(folder) / "stacks"
        sampler = [str(PY_SPY), "record", "--format", "raw", "--threads", "--gil"]
        sampler += ["--rate", str(SAMPLES_PER_S), "--output", str(stacks), "--"]
        _run(bench, "sampled", sampler)
        sampled = divide(stacks.read_text().splitlines())
    for party, seconds in by_party.items():
        micros = seconds / bench.tasks * 1e6
        yield Series(SPINE, f"{case}, {party}", MICROS, (micros,))
        total = sum(sampled.get(party, Counter()).values())
        for stage, count in sampled.get(party, Counter()).most_common():
            yield Series(SPINE, f"{case}, {party}: {stage}", MICROS, (micros * count / total,))


def _run(bench: Bench, name: str, before: list[str]) -> dict[str, float]:
    prefix = bench.prefix("stages", name, 0)
    topics = make_topics(bench.bootstrap, prefix, WAITING_PARTITIONS)
    preload(bench.bootstrap, topics, bench.tasks, WAITING_PARTITIONS)
    arguments = (bench.bootstrap, prefix, bench.tasks)
    if not before:
        return module("bench.spine", *arguments)["threads"]
    line = [*before, *command("bench.spine", *arguments)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode:
        raise RuntimeError(f"py-spy cannot look into a process here: {done.stderr.strip()}")
    return {}


def parties(threads: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds by party, from those by thread name."""
    found: dict[str, float] = {}
    for name, seconds in threads.items():
        if name == "MainThread":
            party = LOOP
        elif name.startswith("poll-"):
            party = POLL
        elif name.startswith("commit-"):
            party = COMMIT
        else:
            party = CLIENT if name.startswith("rdk:") else REST
        found[party] = found.get(party, 0.0) + seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def divide(stacks: Iterable[str]) -> dict[str, Counter[str]]:
    """Samples by party and stage, from lines ``frame;frame;… count``, outermost frame first."""
    found: dict[str, Counter[str]] = {}
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        places = [place for frame in stack.split(";") if (place := _place(frame))]
        files = (place.partition(":")[0] for place in places)
        party = next((PARTIES[file] for file in files if file in PARTIES), None)
        if party is not None and IMPORT not in stack:
            found.setdefault(party, Counter())[_stage(places)] += int(count)
    return found


def _place(frame: str) -> str:
    """``file:function`` of a frame that reads ``function (path/file:line)``."""
    function, _, rest = frame.partition(" (")
    file = rest.rpartition(":")[0]
    for folder in ("streams/", "bench/", "pydantic/"):
        before, found, inside = file.rpartition(folder)
        if found and (not before or before.endswith("/")):
            return f"{folder}{inside}:{function}"
    return ""


def _stage(places: list[str]) -> str:
    """The innermost file that is known decides; in it the outermost frame that called it."""
    found, inside = OTHER, ""
    for place in reversed(places):
        file = place.partition(":")[0]
        stage = next((stage for start, stage in STAGES if place.startswith(start)), None)
        if found is not OTHER and file != inside:
            break
        if stage is not None:
            found, inside = stage, file
    return found
