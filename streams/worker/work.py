"""One task inside a worker, and the records that its end causes."""

from __future__ import annotations

import logging
import traceback
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from operator import methodcaller
from typing import Any

from streams.agent import Agent
from streams.avro import encode
from streams.core.lanes import Lanes
from streams.core.ledger import Possession
from streams.core.outbox import Outbox, Outgoing
from streams.errors import StreamsError
from streams.ids import partition_of
from streams.ports import Clock, Headers, Record
from streams.records import Cost, DeadLetter, ErrorReport, Header, Result, Status, Task
from streams.submission import KEY_MAX, OVERHEAD_BYTES
from streams.topics import Topics

log = logging.getLogger("streams.worker")

FRAMES_MAX = 12
MESSAGE_MAX = 4_000
LINE_MAX = 200
FRAME_MAX = 1_000
TENANTS_MAX = 1_000
_ask_headers = methodcaller("headers")


@dataclass(slots=True)
class Charge:
    """A cost that a handler declared, waiting for the task's end."""

    resource: str
    kind: str
    units: int
    amount_micros: int
    attempt: int
    at: int


@dataclass(slots=True, eq=False)
class Work:
    """A task from its delivery to its outbox."""

    possession: Possession
    record: Record
    task: Task
    lane: bytes | None
    attempt: int
    alone: bool = False
    started_at: int = 0
    finished_at: int = 0
    """When its handler was done: an outcome that replaces a refused one tells the same."""
    waited_s: float = 0.0
    due: float = float("inf")
    """When the running attempt is cut off, on the monotonic clock."""
    begun: bool = False
    """The running attempt has made its first step."""
    cut: str = ""
    """Why it was cut off: ``timeout``, ``expired`` or ``lost``."""
    cost_micros: int = 0
    """The sum of the charges."""
    charges: list[Charge] = field(default_factory=list[Charge])
    children: list[Outgoing] = field(default_factory=list[Outgoing])
    refused: int = 0
    """How many of its outboxes the log refused."""
    headers: Headers | None = None
    """Of its record, once ``headers_of`` was asked."""

    @property
    def offset(self) -> int:
        return self.record.offset()

    @property
    def held(self) -> bool:
        first = self.possession.first
        return first is not None and first != self.record.offset()

    @property
    def lanes(self) -> Lanes:
        return self.possession.lanes


@dataclass(slots=True, eq=False)
class Undecodable:
    """A record that is no task, from its delivery to its outbox."""

    possession: Possession
    record: Record
    error: BaseException
    refused: int = 0
    headers: Headers | None = None


class Outcomes:
    """Makes the outbox of a task's end: result, costs, children or dead letter."""

    def __init__(
        self,
        agent: Agent[Any, Any],
        topics: Topics,
        worker_id: str,
        clock: Clock,
        *,
        costs_partitions: int,
        result_bytes_max: int,
        dead_bytes_max: int,
    ) -> None:
        """The two last are ``max.message.bytes`` of the pool's ``results`` and ``dead`` topics."""
        self._agent = agent
        self._topics = topics
        self._worker_id = worker_id
        self._clock = clock
        self._costs_partitions = costs_partitions
        self._result_max = result_bytes_max - OVERHEAD_BYTES
        self._letter_max = dead_bytes_max - OVERHEAD_BYTES
        self._results = topics.results(agent.name)
        self._dead = topics.dead(agent.name)
        self._source = topics.tasks(agent.name)
        self._costs = topics.costs
        self._place_of_costs = lru_cache(TENANTS_MAX)(self._place_costs)

    @property
    def own_topics(self) -> frozenset[str]:
        return frozenset({self._results, self._dead, self._costs})

    def succeeded(self, work: Work, output: bytes) -> Outbox:
        """The result with its costs and children; a failed one if it is too large."""
        result = encode(self._result(work, "succeeded", "", output=output))
        key = work.record.key()
        if len(result) + len(key or b"") > self._result_max:
            too_large = StreamsError(
                f"the result has {len(result)} bytes, its topic takes {self._result_max}",
                hint="return less, or store the output elsewhere and return where it is",
            )
            return self.failed(work, "result_too_large", too_large)
        records = [Outgoing(self._results, work.possession.partition, key, result)]
        if work.charges:
            records += self._cost_records(work)
        records += work.children
        return self._outbox(work, records)

    def expired(self, work: Work) -> Outbox:
        """The deadline passed: a result, and no dead letter, since nobody wants it any more."""
        error = ErrorReport(code="E0603", type="TaskExpired", message="the deadline passed")
        return self._ended(work, "expired", "deadline", error, dead=False)

    def failed(self, work: Work, reason: str, error: BaseException) -> Outbox:
        """A failed result and a dead letter with the original record."""
        return self._ended(work, "failed", reason, report(error), dead=True)

    def undecodable(self, possession: Possession, record: Record, error: BaseException) -> Outbox:
        """A dead letter alone: what cannot be read has no task id to answer to."""
        return self._lone_letter(Undecodable(possession, record, error), report(error))

    def refused(self, work: object, error: StreamsError) -> Outbox | None:
        """What takes the place of a refused outbox, each time less; None after the least.

        First a failure that says so, then what fits any topic: a result without costs and a
        dead letter without the original.
        """
        if isinstance(work, Work):
            work.refused += 1
            if work.refused == 1:
                return self.failed(work, "record_refused", error)
            return self._least(work, error) if work.refused == 2 else None
        if isinstance(work, Undecodable):
            work.refused += 1
            return self._lone_letter(work, brief(work.error)) if work.refused == 1 else None
        return None

    def _least(self, work: Work, error: StreamsError) -> Outbox:
        log.error(
            "task %s: costs of %d millionths are not recorded, since the log refuses them: %s",
            work.task.task_id,
            work.cost_micros,
            error,
        )
        work.charges.clear()
        work.cost_micros = 0
        return self._ended(work, "failed", "record_refused", brief(error), dead=True)

    def _lone_letter(self, work: Undecodable, error: ErrorReport) -> Outbox:
        possession, offset = work.possession, work.record.offset()
        letter = self._letter(work, None, "undecodable", error, 0, whole=not work.refused)
        return Outbox(possession.partition, possession.epoch, offset, [letter], work, answers=False)

    def _ended(
        self, work: Work, status: Status, reason: str, error: ErrorReport, *, dead: bool
    ) -> Outbox:
        partition, key = work.possession.partition, work.record.key()
        result = encode(self._result(work, status, reason, error=error))
        records = [Outgoing(self._results, partition, key, result)]
        if dead:
            whole = work.refused < 2
            records.append(self._letter(work, work.task, reason, error, work.attempt, whole=whole))
        records += self._cost_records(work)
        return self._outbox(work, records)

    def _outbox(self, work: Work, records: list[Outgoing]) -> Outbox:
        possession = work.possession
        return Outbox(possession.partition, possession.epoch, work.record.offset(), records, work)

    def _result(
        self,
        work: Work,
        status: Status,
        reason: str,
        *,
        output: bytes | None = None,
        error: ErrorReport | None = None,
    ) -> Result[bytes]:
        task = work.task
        work.finished_at = now = work.finished_at or self._clock.now_micros()
        return Result(
            task.task_id,
            task.run_id,
            self._agent.name,
            self._agent.policy.version,
            self._worker_id,
            work.attempt,
            status,
            task.submitted_at,
            work.started_at or now,
            now,
            self._source,
            work.possession.partition,
            work.record.offset(),
            reason,
            False,
            output,
            error,
            work.cost_micros,
            task.tenant,
            f"{zlib.crc32(task.input):08x}",
            task.redrive_of,
            task.parent_task_id,
        )

    def _cost_records(self, work: Work) -> list[Outgoing]:
        task = work.task
        partition, key = self._place_of_costs(task.tenant)
        return [
            Outgoing(
                self._costs,
                partition,
                key,
                encode(
                    Cost(
                        f"{task.task_id}.{number}",
                        task.task_id,
                        task.run_id,
                        self._agent.name,
                        self._worker_id,
                        charge.attempt,
                        charge.kind,
                        charge.resource,
                        charge.units,
                        charge.amount_micros,
                        charge.at,
                        task.tenant,
                    )
                ),
            )
            for number, charge in zip(count(1), work.charges, strict=False)
        ]

    def _place_costs(self, tenant: str) -> tuple[int, bytes]:
        """Partition and key of this worker's costs for a tenant."""
        key = f"{tenant}\0{self._worker_id}".encode()
        return partition_of(key, self._costs_partitions), key

    def _letter(
        self,
        work: Work | Undecodable,
        task: Task | None,
        reason: str,
        error: ErrorReport,
        attempts: int,
        *,
        whole: bool,
    ) -> Outgoing:
        """A dead letter; without the original where that is not to be, or would not fit."""
        record = work.record
        letter = DeadLetter(
            agent=self._agent.name,
            agent_version=self._agent.policy.version,
            reason=reason,
            worker_id=self._worker_id,
            source_topic=self._source,
            source_partition=record.partition(),
            source_offset=record.offset(),
            source_timestamp=_appended_at(record),
            at=self._clock.now_micros(),
            task_id=task.task_id if task else None,
            run_id=task.run_id if task else None,
            tenant=task.tenant if task else "",
            error=error,
            attempts=attempts,
            key=record.key(),
            value=record.value(),
            headers=[Header(name, value) for name, value in headers_of(work)],
        )
        key = letter.key
        data = encode(letter)
        if not whole or len(data) + len(key or b"") > self._letter_max:
            if key is not None and len(key) > KEY_MAX:
                key = letter.key = None
            letter.value_hash = f"{zlib.crc32(letter.value or b''):08x}"
            letter.value, letter.headers = None, []
            data = encode(letter)
        return Outgoing(self._dead, record.partition(), key, data)


def _appended_at(record: Record) -> int | None:
    kind, milliseconds = record.timestamp()
    return milliseconds * 1000 if kind else None


def headers_of(work: Work | Undecodable) -> Headers:
    """The headers of its record; none at all if the client cannot read one of them.

    For a name that is not UTF-8 it returns a list that ends the process, and sets an exception
    (confluent-kafka 2.16.1). So it is asked once, and not by a plain call: CPython leaves out the
    check that raises the exception in the list's place, once a call is hot.
    """
    if work.headers is None:
        try:
            work.headers = _ask_headers(work.record) or ()
        except Exception as error:
            work.headers = ()
            where = work.possession.partition, work.record.offset()
            log.info("headers of partition %d, offset %d cannot be read: %r", *where, error)
    return work.headers


def report(error: BaseException) -> ErrorReport:
    """An error as it goes on the wire: for users' exceptions with their own frames."""
    if isinstance(error, StreamsError):
        # Raised by a handler they may hold anything, another exception for example.
        message, hint, code = _text(error.message), _text(error.hint), error.code
    else:
        message, hint, code = _text(error), "", ""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "streams.errors"):
        name = f"{kind.__module__}.{name}"
    return ErrorReport(
        code,
        _writable(name[:LINE_MAX]),
        _writable(message[:MESSAGE_MAX]),
        _writable(hint[:MESSAGE_MAX]),
        [_writable(frame[:FRAME_MAX]) for frame in user_frames(error)],
    )


def brief(error: BaseException) -> ErrorReport:
    """The same where hardly anything fits."""
    full = report(error)
    return ErrorReport(full.code, full.type, full.message[:LINE_MAX])


def _text(error: object) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be had: {type(broken).__name__})"


def _writable(text: str) -> str:
    """Without lone surrogates, which a file name may bring along and UTF-8 does not have."""
    return text.encode(errors="backslashreplace").decode()


def user_frames(error: BaseException) -> list[str]:
    """``file:line in function: source`` of the user's own code, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    package = __file__.rsplit("worker", 1)[0]
    own = [f for f in frames if not f.filename.startswith(package)]
    return [
        f"{f.filename}:{f.lineno} in {f.name}" + (f": {f.line[:LINE_MAX]}" if f.line else "")
        for f in own[-FRAMES_MAX:]
    ]
