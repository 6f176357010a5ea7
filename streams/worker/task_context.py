"""What a handler is given in a worker: the ``Context`` of one task."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from streams.address import Address
from streams.avro import encode
from streams.catalog import Catalog
from streams.context import RUNNING, Context, Dependency
from streams.core.outbox import Outgoing
from streams.errors import StreamsError, UsageError
from streams.ids import task_id as new_task_id
from streams.ports import Clock, Tracer
from streams.records import Task
from streams.submission import TEXT_MAX, new_task, outgoing
from streams.worker.work import Charge, Work

T = TypeVar("T")
In = TypeVar("In")
AMOUNT_MAX = 10**15
CAUSED_MAX = 10_000
"""Costs and new tasks of one task, each: all go into one transaction."""
LATEST_S = 253_402_300_799
"""The end of the year 9999, the last that a datetime can name."""
log = logging.getLogger("streams.task")


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts the task's id before each message."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        assert self.extra is not None
        return f"[{self.extra['task_id']}] {msg}", kwargs


class TaskContext:
    """The context of one attempt."""

    __slots__ = ("_catalog", "_clock", "_tracer", "_use", "_work", "attempt", "task")

    def __init__(
        self,
        work: Work,
        catalog: Catalog,
        clock: Clock,
        use: Callable[[Dependency[Any]], Awaitable[Any]],
        tracer: Tracer | None = None,
    ) -> None:
        self._work = work
        self._catalog = catalog
        self._clock = clock
        self._use = use
        self._tracer = tracer
        self.task: Task = work.task
        self.attempt = work.attempt

    @property
    def deadline(self) -> datetime:
        return datetime.fromtimestamp(min(self.task.deadline / 1e6, LATEST_S), UTC)

    @property
    def idempotency_key(self) -> str:
        return self.task.task_id

    @property
    def log(self) -> logging.Logger:
        return TaskLogger(log, {"task_id": self.task.task_id})  # type: ignore[return-value]

    @staticmethod
    def current() -> Context:
        return RUNNING.get()

    async def use(self, dependency: Dependency[T], /) -> T:
        return await self._use(dependency)

    def charge(
        self, resource: str, *, amount_micros: int, units: int = 1, kind: str = "tool"
    ) -> None:
        # Not refused when cut off: what its clean-up has paid for was paid for.
        if self._over:
            raise _too_late("charged")
        _check_amount(resource, "amount_micros", amount_micros)
        _check_amount(resource, "units", units)
        _check_text("resource", resource)
        _check_text("kind", kind)
        _check_room(self._work.charges, "costs")
        if self._work.cost_micros + amount_micros > AMOUNT_MAX:
            raise UsageError(f"the charges of one task add up to more than {AMOUNT_MAX} millionths")
        self._work.cost_micros += amount_micros
        self._work.charges.append(
            Charge(resource, kind, units, amount_micros, self.attempt, self._clock.now_micros())
        )

    async def submit(self, agent: Address[In, Any], input: In, *, key: str | None = None) -> str:
        body = agent.dump_input(input)
        card = await self._catalog.card(agent.name)
        if self._over or self._work.cut:
            raise _too_late("submitted")
        _check_room(self._work.children, "new tasks")
        now = self._clock.now_micros()
        task = new_task(
            card,
            body,
            now,
            task_id=new_task_id(now),
            run_id=self.task.run_id,
            parent_task_id=self.task.task_id,
            key=key,
            tenant=self.task.tenant,
        )
        topic, partition, record_key, value = outgoing(card, task, encode(task))
        headers = self._tracer.headers() if self._tracer is not None else None
        self._work.children.append(Outgoing(topic, partition, record_key, value, headers))
        return task.task_id

    @property
    def _over(self) -> bool:
        """Whether the attempt has ended, so that its outbox is made or another one runs."""
        work = self._work
        return bool(work.finished_at or work.attempt != self.attempt or work.possession.ended)


def _too_late(what: str) -> StreamsError:
    return StreamsError(
        f"this attempt is over, so nothing can be {what} from it",
        hint="await what the handler starts before it returns",
    )


def _check_amount(resource: str, name: str, value: int) -> None:
    if type(value) is not int or not 0 <= value <= AMOUNT_MAX:
        raise UsageError(
            f"charge({resource!r}, {name}={value!r}): not a whole number from 0",
            hint="amounts are exact: millionths of the currency, never a float",
        )


def _check_text(name: str, text: str) -> None:
    if not 0 < len(text) <= TEXT_MAX or not (text.isascii() or _is_writable(text)):
        raise UsageError(
            f"charge({name}={text[:TEXT_MAX]!r}): not a text of 1 to {TEXT_MAX} characters",
            hint="name what was used; details belong into the output",
        )


def _check_room(caused: Sequence[object], what: str) -> None:
    if len(caused) >= CAUSED_MAX:
        raise UsageError(
            f"one task causes more than {CAUSED_MAX:,} {what}",
            hint="they go into one transaction; let several tasks cause them",
        )


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
