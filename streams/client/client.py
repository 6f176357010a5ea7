"""``Client``: submit tasks, wait for results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Any, Self, TypeVar, overload

from pydantic import JsonValue

from streams.address import Address
from streams.avro import encode
from streams.catalog import Catalog, unanswered
from streams.client.deliver import Deliverer
from streams.client.follow import Awaited, Follower
from streams.client.handles import Batch, Handle
from streams.client.lookup import submit_once
from streams.client.schema import check_json
from streams.clock import SystemClock
from streams.core.outbox import Outgoing
from streams.errors import LogError, StreamsError
from streams.ids import partition_of, task_time_ms
from streams.ids import task_id as new_task_id
from streams.policies import Duration
from streams.ports import Clock, Log, Runner, Running
from streams.records import AgentCard, Task
from streams.settings import Settings, resolve
from streams.submission import new_task, outgoing, topic_card
from streams.telemetry import tracer
from streams.threads import ThreadRunner
from streams.topics import Topics

In = TypeVar("In")
Out = TypeVar("Out")

SKEW_MS = 60_000
"""How far a submitter's clock may be ahead of the broker's, whose time finds the offset."""


class Client:
    """Submits tasks to agents by their address, or by name with JSON.

    ``async with Client() as client``. The broker is found as in ``streams.settings``. It needs
    no right but to write to the agents' task topics and to read results and cards; for ids of
    the caller's own also to read tasks and to use transactional ids ``<group>.submit.*``.
    """

    def __init__(
        self,
        *,
        bootstrap: str | None = None,
        prefix: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._given = (bootstrap, prefix, settings)
        self._parts: tuple[Log, Clock, Runner, Topics] | None = None

    @classmethod
    def over(cls, log: Log, clock: Clock, runner: Runner, topics: Topics) -> Self:
        """A client on another log than Kafka, for tests."""
        client = cls()
        client._parts = (log, clock, runner, topics)
        return client

    async def __aenter__(self) -> Self:
        log, clock, runner, topics = self._parts or await self._connect()
        self._log, self._clock, self._runner, self._topics = log, clock, runner, topics
        self._tracer = tracer()
        self.catalog = Catalog(log, topics, clock, runner)
        self._deliverer = Deliverer(log, runner)
        self._follower = Follower(log, self.catalog, runner)
        self._following = asyncio.Lock()
        self._threads: list[Running] = [
            runner.spawn("client-deliver", self._deliverer.run()),
            runner.spawn("client-follow", self._follower.run()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._deliverer.stop()
        self._follower.stop()
        for thread in self._threads:
            await self._runner.call(lambda thread=thread: thread.join(10.0))

    @overload
    async def submit(
        self,
        agent: Address[In, Out],
        input: In,
        *,
        key: str | None = None,
        tenant: str = "",
        task_id: str | None = None,
        deadline: datetime | None = None,
    ) -> Handle[Out]: ...

    @overload
    async def submit(
        self,
        agent: str,
        input: JsonValue,
        *,
        key: str | None = None,
        tenant: str = "",
        task_id: str | None = None,
        deadline: datetime | None = None,
    ) -> Handle[JsonValue]: ...

    async def submit(
        self,
        agent: Address[Any, Any] | str,
        input: Any,
        *,
        key: str | None = None,
        tenant: str = "",
        task_id: str | None = None,
        deadline: datetime | None = None,
    ) -> Handle[Any]:
        """Submit a task; when this returns the log has it.

        Tasks with the same ``key`` run one after the other. With a ``task_id`` of the caller's
        own, submitting the same task again (same id, key and input) returns a handle on the
        first; a different input is TaskDuplicate. ``deadline`` defaults to one day from now.
        Raises InputInvalid, InputTooLarge, DeadlineTooLate, AgentUnknown, TopicMissing,
        BrokerUnreachable.
        """
        card, body, parse = await self._prepare(agent, input)
        now = self._clock.now_micros()
        task = new_task(
            card,
            body,
            now,
            task_id=task_id or new_task_id(now),
            key=key,
            tenant=tenant,
            deadline=None if deadline is None else _micros(deadline),
        )
        if task_id is not None:
            return await self._submit_once(card, task, parse)
        awaited, confirmed = await self._produce(card, task)
        await confirmed
        return Handle(card.agent, task.task_id, task.run_id, awaited, parse)

    async def ask(
        self,
        agent: Address[In, Out],
        input: In,
        *,
        key: str | None = None,
        timeout: Duration | None = 60,
    ) -> Out:
        """Submit and wait for the output; raises as ``submit`` and ``Handle.result`` do."""
        handle = await self.submit(agent, input, key=key)
        return await handle.result(timeout)

    async def submit_many(
        self,
        agent: Address[In, Out],
        inputs: Iterable[In] | AsyncIterable[In],
        *,
        key: Callable[[In], str] | None = None,
        tenant: str = "",
    ) -> Batch[Out]:
        """Submit all inputs under one run, while their results are taken from the batch.

        Submitting waits while ``handles.OPEN_MAX`` tasks are open. An input that does not fit,
        or a record that is refused, is raised by the iteration.
        """
        card = await self.catalog.card(agent.name)
        run_id = new_task_id(self._clock.now_micros())

        async def feed() -> AsyncIterator[tuple[Awaited, asyncio.Future[None]]]:
            async for value in _each(inputs):
                now = self._clock.now_micros()
                task = new_task(
                    card,
                    agent.dump_input(value),
                    now,
                    task_id=new_task_id(now),
                    run_id=run_id,
                    key=None if key is None else key(value),
                    tenant=tenant,
                )
                yield await self._produce(card, task)

        return Batch(run_id, feed(), agent.parse_output)

    async def handle(
        self, agent: Address[In, Out], task_id: str, *, key: str | None = None
    ) -> Handle[Out]:
        """A handle on a task that was submitted before, by anyone.

        ``key`` as it was submitted; without it every result partition is read. Reading begins
        at the time in the id (a UUIDv7), or for another id at the beginning of the log.
        """
        card = await self.catalog.card(agent.name)
        results = topic_card(card, "results")
        partitions = list(range(results.partitions))
        if key is not None:
            partitions = [partition_of(key.encode(), results.partitions)]
        since = max(0, (task_time_ms(task_id) or 0) - SKEW_MS)
        admin = self._log.admin()
        offsets = await self._runner.call(lambda: admin.offsets_at(results.name, partitions, since))
        awaited = self._follower.await_result(task_id, results.name)
        self._follower.rewind({(results.name, p): o for p, o in offsets.items()})
        return Handle(agent.name, task_id, "", awaited, agent.parse_output)

    async def resubmit(self, task: Task) -> Handle[JsonValue]:
        """Submit an ended task again, as a new one that names it in ``redrive_of``."""
        card = await self.catalog.card(task.agent)
        now = self._clock.now_micros()
        again = new_task(
            card,
            task.input,
            now,
            task_id=new_task_id(now),
            key=task.key,
            tenant=task.tenant,
            redrive_of=task.task_id,
        )
        awaited, confirmed = await self._produce(card, again)
        await confirmed
        return Handle(card.agent, again.task_id, again.run_id, awaited, json.loads)

    # -- inside ----------------------------------------------------------------------------

    async def _connect(self) -> tuple[Log, Clock, Runner, Topics]:
        from streams.kafka.log import KafkaLog

        bootstrap, prefix, settings = self._given
        settings = settings or resolve(bootstrap=bootstrap, prefix=prefix)
        runner = ThreadRunner()
        log = KafkaLog(settings.bootstrap, settings.kafka)
        await runner.call(log.check)
        return log, SystemClock(), runner, Topics(settings.prefix)

    async def _prepare(
        self, agent: Address[Any, Any] | str, input: Any
    ) -> tuple[AgentCard, bytes, Callable[[bytes], Any]]:
        if isinstance(agent, str):
            card = await self.catalog.card(agent)
            return card, check_json(card, input), json.loads
        body = agent.dump_input(input)
        return await self.catalog.card(agent.name), body, agent.parse_output

    async def _produce(self, card: AgentCard, task: Task) -> tuple[Awaited, asyncio.Future[None]]:
        topic, partition, key, value = outgoing(card, task, encode(task))
        results = topic_card(card, "results").name
        if not self._follower.follows(results, partition):
            await self._follow(card)
        awaited = self._follower.await_result(task.task_id, results)
        headers = self._tracer.headers() if self._tracer is not None else None
        confirmed = await self._deliverer.produce(topic, partition, key, value, headers)
        return awaited, confirmed

    async def _follow(self, card: AgentCard) -> None:
        """Follow the agent's results from their ends as of now, before anything is produced."""
        results = topic_card(card, "results")
        admin = self._log.admin()
        async with self._following:
            partitions = [
                p for p in range(results.partitions) if not self._follower.follows(results.name, p)
            ]
            if partitions:
                try:
                    bounds = await self._runner.call(lambda: admin.bounds(results.name, partitions))
                except LogError as error:
                    raise unanswered(error) from error
                self._follower.follow({(results.name, p): b.end for p, b in bounds.items()})

    async def _submit_once(
        self, card: AgentCard, task: Task, parse: Callable[[bytes], Any]
    ) -> Handle[Any]:
        results = topic_card(card, "results").name
        awaited = self._follower.await_result(task.task_id, results)
        headers = self._tracer.headers() if self._tracer is not None else None
        record = Outgoing(*outgoing(card, task, encode(task)), headers)
        if not self._follower.follows(results, record.partition):
            await self._follow(card)
        log, clock, runner = self._log, self._clock, self._runner
        group = self._topics.group(card.pool)
        found = await runner.call(lambda: submit_once(log, clock, runner, group, task, record))
        if found is not None:
            # The result came after the task, by the broker's clock.
            admin, since = log.admin(), found.appended_ms
            offsets = await runner.call(
                lambda: admin.offsets_at(results, [record.partition], since)
            )
            self._follower.rewind({(results, p): o for p, o in offsets.items()})
        run_id = (found.task if found else task).run_id
        return Handle(card.agent, task.task_id, run_id, awaited, parse)


def _micros(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise StreamsError(
            f"deadline {moment.isoformat()} has no time zone",
            hint="for example datetime.now(UTC) + timedelta(hours=1)",
        )
    return round(moment.timestamp() * 1e6)


async def _each(inputs: Iterable[In] | AsyncIterable[In]) -> AsyncIterator[In]:
    if isinstance(inputs, AsyncIterable):
        async for value in inputs:
            yield value
    else:
        for value in inputs:
            yield value
