"""Real worker processes on a real Kafka, and what their topics say about them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from streams.agent import Agent
from streams.avro import decode
from streams.catalog import Catalog
from streams.client.client import Client
from streams.clock import SystemClock
from streams.core.offsets import CompletionMap
from streams.core.offsets import decode as decode_map
from streams.errors import LogError
from streams.kafka.log import KafkaLog
from streams.loader import load
from streams.ports import Record
from streams.provision import apply, plan
from streams.records import DeadLetter, Heartbeat, Result
from streams.settings import Settings
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.verify import Report, check, input_hash

AGENTS = Path(__file__).parent / "agents_under_test.py"
PATIENCE_S = 40.0
NONE: Mapping[str, str] = {}
STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]


class Entry(NamedTuple):
    """A line of the diary: ``start``, ``end`` or ``cut`` (cancelled) of a piece of work."""

    event: str
    pid: int
    number: int
    at: int


class Member:
    """One start of a worker process in a slot; what it says on stderr is in ``log``."""

    def __init__(self, slot: str, command: Sequence[str], environment: dict[str, str], log: Path):
        self.slot = slot
        self._path = log
        self._stopped = False
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment
            )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        return self._path.read_text()

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def ended(self, seconds: float = PATIENCE_S) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait(seconds)


class Fleet:
    """A deployment of its own (a prefix) on a broker: its workers, its tasks, its records.

    Conditions are read from topics, heartbeats and process state; every wait has a deadline.
    """

    def __init__(self, bootstrap: str, prefix: str, scratch: Path) -> None:
        self.log = KafkaLog(bootstrap)
        self.topics = Topics(prefix)
        self.agent: Agent[Any, Any] = load([AGENTS])[0]
        self.submitted: dict[str, str] = {}
        """Task id to the hash of its input, of all that the log accepted."""
        self.members: list[Member] = []
        self.results: list[Result[bytes]] = []
        self.dead: list[DeadLetter] = []
        self.beats: list[Heartbeat] = []
        self.bootstrap = bootstrap
        self._settings = Settings(bootstrap, prefix)
        self._scratch = scratch
        self._diary = scratch / "diary"
        self._clock = SystemClock()
        self._reader = self.log.reader()
        self.partitions = 0

    # -- the deployment ------------------------------------------------------------------

    def apply(self, partitions: int = 6) -> None:
        """Make the topics, and read along what the workers write."""
        catalog = Catalog(self.log, self.topics, self._clock, ThreadRunner())
        todo = plan(self.log, self.topics, catalog, [self.agent], partitions)
        apply(self.log, self.topics, catalog, [self.agent], todo)
        self.partitions = partitions
        name = self.agent.name
        places = [
            (t, p)
            for t in (self.topics.results(name), self.topics.dead(name))
            for p in range(partitions)
        ]
        self._reader.assign(dict.fromkeys([*places, (self.topics.heartbeats, 0)], 0))

    def start(
        self,
        slot: str | None,
        *,
        ready: bool = False,
        wrap: Sequence[str] = (),
        environment: Mapping[str, str] = NONE,
    ) -> Member:
        """Start a worker process; with ``ready`` return when its heartbeat says that it owns
        partitions.

        ``wrap`` are words before its command, ``environment`` variables over the others.
        """
        number = len(self.members)
        chosen = ["--slot", slot] if slot else []
        command = [*wrap, *STREAMS, "worker", "run", str(AGENTS), *chosen]
        variables = {
            **os.environ,
            "STREAMS_BOOTSTRAP": self._settings.bootstrap,
            "STREAMS_PREFIX": self._settings.prefix,
            "WORK_DIARY": str(self._diary),
            **environment,
        }
        log = self._scratch / f"{number}-{slot or 'dynamic'}.log"
        member = Member(slot or "", command, variables, log)
        self.members.append(member)
        if ready:
            self.until(lambda: bool(self.owned(member)), f"worker {number} owns partitions")
        return member

    def submit(
        self, works: Sequence[dict[str, Any]], *, key: Callable[[int], str] | None = None
    ) -> list[str]:
        """Submit pieces of work through a client, in order; returns their ids.

        What the log accepted is noted for ``verify``.
        """

        async def run() -> list[str]:
            async with Client(settings=self._settings) as client:

                async def one(work: dict[str, Any]) -> str:
                    chosen = None if key is None else key(work["number"])
                    value = self.agent.input(**work)
                    handle = await client.submit(self.agent, value, key=chosen)
                    self.submitted[handle.task_id] = input_hash(self.agent.dump_input(value))
                    return handle.task_id

                first = await one(works[0])
                return [first, *await asyncio.gather(*map(one, works[1:]))]

        return asyncio.run(run())

    def write_task(self, value: bytes, partition: int) -> None:
        """Put raw bytes on the topic of tasks, past the client."""
        producer = self.log.producer()
        producer.produce(self.topics.tasks(self.agent.name), partition, b"raw", value)
        assert producer.flush(10.0) == 0
        producer.close()

    # -- what the topics say -------------------------------------------------------------

    def read(self) -> None:
        """Take what came onto the topics since the last call."""
        while True:
            consumed = self._reader.consume(1_000, 0.05)
            for record in consumed.records:
                self._take(record)
            if not consumed.records:
                return

    def _take(self, record: Record) -> None:
        value = record.value() or b""
        if record.topic() == self.topics.heartbeats:
            self.beats.append(decode(value, Heartbeat))
        elif record.topic() == self.topics.dead(self.agent.name):
            self.dead.append(decode(value, DeadLetter))
        else:
            self.results.append(decode(value, Result))

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> float:
        """Read the topics until the condition holds; the seconds that took."""
        started = time.monotonic()
        while True:
            self.read()
            if condition():
                return time.monotonic() - started
            assert time.monotonic() - started < seconds, f"not within {seconds:g} s: {what}"

    def until_answered(self, seconds: float = PATIENCE_S) -> None:
        """Until every submitted task has a result."""

        def missing() -> set[str]:
            return self.submitted.keys() - {r.task_id for r in self.results}

        try:
            self.until(lambda: not missing(), "every task has a result", seconds)
        except AssertionError:
            raise AssertionError(f"{len(missing())} of {len(self.submitted)} unanswered") from None

    def beat(self, member: Member) -> Heartbeat | None:
        """The newest heartbeat of this process."""
        return next((b for b in reversed(self.beats) if b.pid == member.pid), None)

    def owned(self, member: Member) -> list[int]:
        """The partitions it owns, as its newest heartbeat says."""
        beat = self.beat(member)
        return beat.pools[0].partitions if beat else []

    def outputs(self) -> dict[str, dict[str, Any]]:
        """The outputs of the succeeded tasks by task id."""
        return {r.task_id: json.loads(r.output) for r in self.results if r.output is not None}

    def answered_by(self, member: Member, *, since: int = 0) -> list[Result[bytes]]:
        """The results that this process wrote, of tasks it started at or after ``since``."""
        outputs = self.outputs()
        return [
            r
            for r in self.results
            if r.started_at >= since and outputs.get(r.task_id, {}).get("pid") == member.pid
        ]

    def in_transaction(self, partitions: Iterable[int]) -> bool:
        """Whether an open transaction holds an offset of these partitions."""
        name = self.agent.name
        try:
            self.log.admin().committed(
                self.topics.group(name), self.topics.tasks(name), partitions, stable=True
            )
        except LogError as error:
            if error.kind == "UNSTABLE_OFFSET_COMMIT":
                return True
            raise
        return False

    def maps(self) -> dict[int, CompletionMap]:
        """The completion map that is committed for each partition."""
        name = self.agent.name
        committed = self.log.admin().committed(
            self.topics.group(name), self.topics.tasks(name), range(self.partitions), stable=False
        )
        return {p: decode_map(c.offset, c.metadata) for p, c in committed.items() if c is not None}

    def diary(self) -> list[Entry]:
        """What the agents did, in the order in which they noted it."""
        if not self._diary.exists():
            return []
        lines = self._diary.read_text().splitlines()
        return [Entry(e, int(p), int(n), int(at)) for e, p, n, at in map(str.split, lines)]

    def recovery_s(self, since: int, partitions: Iterable[int]) -> float | None:
        """Seconds from ``since`` to the first start of a task of these partitions after it."""
        lost = set(partitions)
        starts = [
            r.started_at
            for r in self.results
            if r.source_partition in lost and r.started_at > since
        ]
        return (min(starts) - since) / 1e6 if starts else None

    # -- the end -------------------------------------------------------------------------

    def verify(self) -> Report:
        """The proof, from the topics and the list of what was submitted."""
        report = check(self.log, self.topics, self.submitted, pools=[self.agent.name])
        assert report.ok, report.text()
        assert report.answered == report.submitted == len(self.submitted)
        return report

    def close(self, into: TextIO | None = None) -> None:
        """End every process, and print what they said, or write it into a file."""
        for member in self.members:
            member.kill()
            said = f"--- worker {member.slot or 'without slot'}, exit {member.code}\n{member.log}"
            print(said, file=into)
        self._reader.close()


def works(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """So many pieces of work for the agent, numbered, otherwise alike."""
    return [{"number": number, **fields} for number in range(first, first + count)]


def balanced(fleet: Fleet, members: list[Member]) -> None:
    """Wait until these own the same number of partitions each, and all together."""
    share = fleet.partitions // len(members)
    fleet.until(
        lambda: all(len(fleet.owned(member)) == share for member in members),
        f"each of {len(members)} workers owns {share} partitions",
    )


def busy(fleet: Fleet, member: Member, answers: int) -> None:
    """Wait until there are so many results and the worker holds unfinished tasks."""

    def middle() -> bool:
        beat = fleet.beat(member)
        return len(fleet.results) >= answers and beat is not None and beat.pools[0].in_flight > 0

    fleet.until(middle, "the worker is in the middle of its work")


def say(what: str, seconds: float | None) -> None:
    assert seconds is not None, f"no recovery: {what}"
    print(f"recovery, {what}: {seconds:.2f} s")


def quiet(member: Member) -> None:
    """What was expected to happen reads as such: no traceback, no error."""
    assert "Traceback" not in member.log, member.log
    assert "bug" not in member.log, member.log


def now_micros() -> int:
    """The wall clock, as records carry it."""
    return SystemClock().now_micros()
