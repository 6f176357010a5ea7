"""What a handler is given in a worker: the ``Context`` of one task."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
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
from streams.submission import new_task, outgoing
from streams.worker.work import Charge, Work

T = TypeVar("T")
In = TypeVar("In")
AMOUNT_MAX = 10**15
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
        for name, value in (("amount_micros", amount_micros), ("units", units)):
            whole = isinstance(value, int) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
            if not whole or not 0 <= value <= AMOUNT_MAX:
                raise UsageError(
                    f"charge({resource!r}, {name}={value!r}): not a whole number from 0",
                    hint="amounts are exact: millionths of the currency, never a float",
                )
        self._work.charges.append(
            Charge(resource, kind, units, amount_micros, self.attempt, self._clock.now_micros())
        )

    async def submit(self, agent: Address[In, Any], input: In, *, key: str | None = None) -> str:
        body = agent.dump_input(input)
        if self._work.cut or self._work.possession.ended:
            raise StreamsError("this task belongs to another worker by now")
        card = await self._catalog.card(agent.name)
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
