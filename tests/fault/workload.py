"""The load: what tasks there are, and a submitter that keeps a chosen number of them open."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.avro import encode
from streams.clock import SystemClock
from streams.errors import LogError
from streams.ids import partition_of, task_id
from streams.ports import Log, Producer
from streams.records import AgentCard, Task
from streams.submission import new_task, outgoing
from streams.verify import input_hash

from .agents import FOR_EVER, Work
from .submissions import SubmissionLog

BATCH = 50
POLL_S = 0.005
GIVE_UP_S = 90.0
"""How long the end of the load waits for the last acknowledgements."""
KEYS = 400
TENANTS = ("", "", "", "north", "south", "east")
DAY_MICROS = 86_400_000_000
SHORT_MICROS = 6_000_000
"""Deadline of the few tasks that may expire."""
UNDECODABLE = b"\xc3\x01 is no record of ours"

SEIZED_MS = 5_500
"""Longer than a worker may stand still before it gives its partitions up (4.5 s)."""

FATES: dict[str, Work] = {
    "block": Work(number=0, ms=8_000, fate="block"),
    "seize": Work(number=0, ms=SEIZED_MS, fate="seize"),
    "leak": Work(number=0, fate="leak"),
    "exit": Work(number=0, fate="exit"),
    "segfault": Work(number=0, fate="segfault"),
}
"""What a fault can submit by name, beside ``undecodable``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is submitted: the work, and how."""

    work: Work
    key: str | None
    tenant: str
    short: bool = False
    """Its deadline is near."""
    encode: Callable[[Task], bytes] = encode

    @property
    def nature(self) -> str:
        """What its end depends on, in one word: ``gives-up``, ``fails-2``, ``exit``, ``plain``;
        with ``+short`` it may expire."""
        work = self.work
        if work.fate:
            word = work.fate
        elif work.gives_up:
            word = "gives-up"
        else:
            word = f"fails-{work.fails}" if work.fails else "plain"
        return word + "+short" * self.short


def pieces(rng: random.Random) -> Iterator[Piece]:
    """The endless mix: most tasks take nothing to 20 ms, a few seconds; some fail, cause, expire.

    Three quarters have one of KEYS keys.
    """
    number = 0
    while True:
        number += 1
        chance = rng.random()
        work = Work(number=number)
        key: str | None = f"k{rng.randrange(KEYS)}" if rng.random() < 0.75 else None
        if chance < 0.002:
            # Without a key: a lane that stands for seconds would hold its successors for as long.
            work.ms, key = rng.randrange(1_000, 3_000), None
        elif chance < 0.012:
            work.fails = rng.choice([1, 1, 2, FOR_EVER])
        elif chance < 0.016:
            work.gives_up = True
        elif chance < 0.066:
            work.children = rng.randrange(1, 3)
        else:
            work.ms = rng.randrange(20) if rng.random() < 0.6 else 0
        yield Piece(work, key, rng.choice(TENANTS), short=rng.random() < 0.002)


class Submitter:
    """Submits ``pieces`` while fewer than ``open_max`` tasks are open; a thread of its own.

    Nothing is assumed of a record that was not acknowledged: it is noted as uncertain and does
    not count as open.
    """

    def __init__(
        self,
        log: Log,
        card: AgentCard,
        path: Path,
        rng: random.Random,
        open_max: int,
        per_second: float,
    ) -> None:
        self._log = log
        self._producer = log.producer()
        self._card = card
        self._notes = SubmissionLog(path)
        self._pieces = pieces(rng)
        self._open_max = open_max
        self._per_second = per_second
        self._due_at = 0.0
        self._clock = SystemClock()
        self._extra: list[Piece | bytes] = []
        self._lock = threading.Lock()
        self._delivered: list[str] = []
        self._on_the_way = 0
        self._waiting: set[str] = set()
        self._early: set[str] = set()
        """Answered before we heard of the acknowledgement, or without it."""
        self.acknowledged = 0
        self.undecodable = 0
        """Raw records that were acknowledged."""
        self.failed = 0
        self.stopped = False
        self._ending = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="submitter")

    def start(self) -> None:
        self._thread.start()

    def submit(self, kind: str, count: int) -> None:
        """Put ``count`` tasks of a kind of FATES, or ``undecodable`` records, into the load."""
        made: list[Piece | bytes] = []
        for n in range(count):
            if kind == "undecodable":
                made.append(UNDECODABLE)
            else:
                made.append(Piece(FATES[kind], f"{kind}-{n}-{self._clock.now_micros()}", ""))
        with self._lock:
            self._extra += made

    def submit_as(self, encode: Callable[[Task], bytes], count: int) -> None:
        """Put ``count`` ordinary tasks into the load, their records written by ``encode``."""
        with self._lock:
            self._extra += [Piece(Work(number=n), None, "", encode=encode) for n in range(count)]

    def stop(self) -> None:
        """Submit no more, and return when everything is acknowledged or given up."""
        self.stopped = True
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._producer.close()
        self._notes.close()

    @property
    def open(self) -> int:
        """Tasks that were acknowledged, or may yet be, and have no result."""
        return len(self._waiting) + self._on_the_way

    def answered(self, task_id: str) -> None:
        """Say that a task of anybody's has its result."""
        with self._lock:
            if task_id in self._waiting:
                self._waiting.remove(task_id)
            else:
                self._early.add(task_id)

    # -- inside ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                with self._lock:
                    extra, self._extra = self._extra, []
                room = min(BATCH, self._open_max - self.open, self._due())
                if room > 0 or extra:
                    self._send([*extra, *(next(self._pieces) for _ in range(room))])
                self._producer.poll(0.0 if room == BATCH else POLL_S)
                self._settle()
            until = time.monotonic() + GIVE_UP_S
            while self._on_the_way and time.monotonic() < until:
                self._producer.poll(0.1)
                self._settle()
        except BaseException as error:
            self.error = error
            raise

    def _due(self) -> int:
        """How many the rate allows now; what an outage kept back is not made up for."""
        now = time.monotonic()
        self._due_at = max(self._due_at, now - BATCH / self._per_second)
        due = int((now - self._due_at) * self._per_second)
        self._due_at += due / self._per_second
        return due

    def _send(self, batch: list[Piece | bytes]) -> None:
        records: list[tuple[str | None, str, int, bytes, bytes]] = []
        intents: list[tuple[str, str, str]] = []
        for piece in batch:
            if isinstance(piece, bytes):
                name, count = self._card.topics[0].name, self._card.topics[0].partitions
                key = str(self._clock.now_micros()).encode()
                records.append((None, name, partition_of(key, count), key, piece))
                continue
            body = piece.work.model_dump_json().encode()
            now = self._clock.now_micros()
            task = new_task(
                self._card,
                body,
                now,
                task_id=task_id(now),
                key=piece.key,
                tenant=piece.tenant,
                deadline=now + (SHORT_MICROS if piece.short else DAY_MICROS // 2),
            )
            intents.append((task.task_id, input_hash(body), piece.nature))
            records.append((task.task_id, *outgoing(self._card, task, piece.encode(task))))
        self._notes.intend(intents)
        for record in records:
            self._produce(self._producer, *record)

    def _produce(
        self,
        producer: Producer,
        name: str | None,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes,
    ) -> None:
        def report(error: LogError | None) -> None:
            self._on_the_way -= 1
            if error is not None:
                self.failed += 1
                if name is not None:
                    self._notes.give_up(name, error.kind)
            elif name is None:
                self.undecodable += 1
            else:
                self._delivered.append(name)

        self._on_the_way += 1
        try:
            producer.produce(topic, partition, key, value, None, report)
        except LogError:
            # Refused here: it is not in the log. The intent stays, which claims nothing.
            self._on_the_way -= 1
            self.failed += 1

    def _settle(self) -> None:
        if self._delivered:
            done, self._delivered = self._delivered, []
            self._notes.acknowledge(done)
            self.acknowledged += len(done)
            with self._lock:
                self._waiting.update(done)
                both = self._waiting & self._early if self._early else ()
                self._waiting.difference_update(both)
                self._early.difference_update(both)
