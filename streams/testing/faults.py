"""Faults as values: what happens to the workers of a ``Fleet``, and when.

Times are virtual seconds from the start of the fleet. ``worker`` is a number that is counted
round over the workers that are up at that moment, so a plan stays meaningful when others of its
faults are left out. A fault that finds nobody to strike does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from streams.agent import Agent
from streams.errors import LogError
from streams.testing.memory import Call

if TYPE_CHECKING:
    from streams.testing.crew import Crew, Member

Severity = Literal["", "retriable", "abortable", "fatal"]
PATIENCE_S = 5.0
"""How long a fault that waits for a certain call waits for it."""
NETWORKED = frozenset({"init", "send_offsets", "commit", "abort"})
"""Calls of a transactional producer that need an answer of the broker."""


class Fault(Protocol):
    """Something bad that happens once."""

    async def strike(self, crew: Crew) -> None:
        """Wait for its time, strike, and heal."""
        ...


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL, and a new worker ``back_s`` later.

    With ``calls`` it dies inside its n-th half call on the log from then on: an odd one before,
    an even one after the call took effect. With ``same_slot`` the new worker takes its slot, with
    ``static`` as a static member.
    """

    worker: int = 0
    at_s: float = 0.0
    calls: int = 0
    back_s: float = 1.0
    same_slot: bool = True
    static: bool = False

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        member = crew.pick(self.worker)
        if member is None:
            return
        if self.calls:
            await self._at_call(crew, member)
        if member.state != "gone":
            crew.kill(member)
        await asyncio.sleep(self.back_s)
        slot = member.slot if self.same_slot else crew.new_slot()
        await crew.start_again(slot, static=self.static)

    async def _at_call(self, crew: Crew, member: Member) -> None:
        left, dead = self.calls, asyncio.Event()

        def die(call: Call) -> None:
            nonlocal left
            if call.process == member.process and member.state != "gone":
                left -= 1
                if left <= 0:
                    crew.kill(member)
                    dead.set()
                    raise LogError("_DESTROY", "its process is gone", fatal=True)

        with _in_force(crew, die), suppress(TimeoutError):
            await asyncio.wait_for(dead.wait(), PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Freeze:
    """SIGSTOP, and SIGCONT ``for_s`` later."""

    worker: int = 0
    at_s: float = 0.0
    for_s: float = 8.0

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        member = crew.pick(self.worker)
        if member is not None:
            crew.freeze(member)
            await asyncio.sleep(self.for_s)
            crew.thaw(member)


@dataclass(frozen=True, slots=True)
class Join:
    """One more worker, in a slot of its own."""

    at_s: float = 0.0

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        await crew.start_again(crew.new_slot())


@dataclass(frozen=True, slots=True)
class Leave:
    """SIGTERM, and a new worker in its slot ``back_s`` later; ``keep`` as ``drain --keep``."""

    worker: int = 0
    at_s: float = 0.0
    back_s: float = 1.0
    keep: bool = False

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        member = crew.pick(self.worker)
        if member is not None:
            await crew.leave(member, keep=self.keep)
            await asyncio.sleep(self.back_s)
            await crew.start_again(member.slot, static=member.static)


@dataclass(frozen=True, slots=True)
class Cut:
    """The network between a worker (None: all of them) and the brokers is gone for ``for_s``.

    Its calls end in time-outs, its heartbeats stay away, and it goes on running. With
    ``reply_lost`` the first call of each still reaches the broker, and its answer is lost. With
    ``joining`` it goes when the worker has heard that its group changes, before it can answer:
    beyond the session it is expelled then, and takes itself for a member all the time.
    """

    worker: int | None = 0
    at_s: float = 0.0
    for_s: float = 4.0
    reply_lost: bool = True
    joining: bool = False

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        one = None if self.worker is None else crew.pick(self.worker)
        struck = crew.present if self.worker is None else [one] if one else []
        away = {member.process for member in struck}
        first = set(away) if self.reply_lost else set[str]()

        def lose(call: Call) -> None:
            if call.process not in away or not (call.method in NETWORKED or call.client == "admin"):
                return
            if call.process in first:
                if call.applied:
                    first.discard(call.process)
                    raise LogError("_TIMED_OUT", "the answer was lost")
                return
            raise LogError("_TIMED_OUT", "no broker answers")

        if self.joining:
            await self._until_joining(crew, away)
        for member in struck:
            member.log.freeze(member.process)
        with _in_force(crew, lose):
            await asyncio.sleep(self.for_s)
        for member in struck:
            if member.state == "up":
                member.log.thaw(member.process)

    async def _until_joining(self, crew: Crew, away: Collection[str]) -> None:
        """Until one of them fetches while its group changes; from then on it is silent."""
        heard = asyncio.Event()

        def hear(call: Call) -> None:
            if call.method == "consume" and call.process in away and crew.log.changes(call.client):
                crew.log.freeze(call.process, joining=True)
                heard.set()

        with _in_force(crew, hear), suppress(TimeoutError):
            await asyncio.wait_for(heard.wait(), PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Fails:
    """The next ``times`` calls of a method fail with this kind of error, at one worker or all.

    ``applied``: the call took effect and only its answer was lost. ``severity`` is what the
    client library says of the error.
    """

    method: str
    kind: str
    worker: int | None = None
    at_s: float = 0.0
    times: int = 1
    applied: bool = False
    severity: Severity = ""

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        member = None if self.worker is None else crew.pick(self.worker)
        error = LogError(
            self.kind,
            "a fault",
            retriable=self.severity == "retriable",
            abortable=self.severity == "abortable",
            fatal=self.severity == "fatal",
        )
        left, over = self.times, asyncio.Event()

        def fail(call: Call) -> None:
            nonlocal left
            if left <= 0 or (call.method, call.applied) != (self.method, self.applied):
                return
            if not call.process or (member is not None and call.process != member.process):
                return
            left -= 1
            if left <= 0:
                over.set()
            raise error

        with _in_force(crew, fail), suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Late:
    """The next ``commit`` or ``send_offsets`` of a worker times out and arrives ``by_s`` later.

    With ``again`` its connection is reset instead, and the client sends it again at once.
    """

    worker: int = 0
    at_s: float = 0.0
    method: Literal["commit", "send_offsets"] = "commit"
    by_s: float = 0.05
    again: bool = False

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        member = crew.pick(self.worker)
        for transactional_id in member.transactional_ids if member is not None else ():
            crew.log.delay(transactional_id, self.method, self.by_s, again=self.again)


@dataclass(frozen=True, slots=True)
class Misread:
    """The next owner of a partition cannot read its completion map; at another look it can."""

    agent: str
    partition: int = 0
    at_s: float = 0.0
    metadata: str = "1garbage"

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        topics = crew.topics
        group, topic = topics.group(self.agent), topics.tasks(self.agent)
        crew.log.misread(group, topic, self.partition, self.metadata)


@dataclass(frozen=True, slots=True)
class Trim:
    """Retention moves the start of a task partition to its committed offset, and ``beyond`` it.

    What is beyond is lost to whoever takes the partition over.
    """

    agent: str
    partition: int = 0
    at_s: float = 0.0
    beyond: int = 0

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        topics = crew.topics
        group, topic = topics.group(self.agent), topics.tasks(self.agent)
        found = crew.log.admin().committed(group, topic, [self.partition], stable=False)
        committed = found[self.partition]
        if committed is not None:
            crew.log.delete_before(topic, self.partition, committed.offset + self.beyond)


@dataclass(frozen=True, slots=True)
class Skew:
    """A worker's wall clock is ahead by ``by_s`` from now on."""

    worker: int = 0
    at_s: float = 0.0
    by_s: float = 3600.0

    async def strike(self, crew: Crew) -> None:
        await asyncio.sleep(self.at_s)
        member = crew.pick(self.worker)
        if member is not None:
            member.clock.ahead_s = self.by_s


class crash_after:  # noqa: N801 - read as a verb, as in crash_after(bill)
    """The worker dies each time a handler of the agent has its output, before that is committed.

    ``times`` deaths in all; each is followed by a new worker in the same slot.
    """

    when: Literal["before", "after"] = "after"

    def __init__(self, agent: Agent[Any, Any], times: int = 1, *, back_s: float = 1.0) -> None:
        self._agent = agent.name
        self._left = times
        self._back_s = back_s
        self._all = asyncio.Event()

    async def strike(self, crew: Crew) -> None:
        async def passing(member: Member, agent: str, when: str) -> None:
            if (agent, when) != (self._agent, self.when) or not self._left:
                return
            self._left -= 1
            crew.kill(member)
            crew.spawn(self._bring_back(crew, member.slot))
            # Its handlers are cut off, this one here.
            await asyncio.sleep(0)

        crew.passing.append(passing)
        await self._all.wait()

    async def _bring_back(self, crew: Crew, slot: str) -> None:
        await asyncio.sleep(self._back_s)
        await crew.start_again(slot)
        if not self._left:
            self._all.set()


class crash_before(crash_after):  # noqa: N801
    """The worker dies each time a handler of the agent is about to begin."""

    when = "before"


@contextmanager
def _in_force(crew: Crew, hook: Callable[[Call], None]) -> Generator[None, None, None]:
    crew.log.faults.append(hook)
    try:
        yield
    finally:
        crew.log.faults.remove(hook)


ERRORS: Sequence[tuple[str, str, Severity]] = (
    ("commit", "_TIMED_OUT", ""),
    ("commit", "REQUEST_TIMED_OUT", "retriable"),
    ("commit", "INVALID_TXN_STATE", "fatal"),
    ("commit", "ILLEGAL_GENERATION", "abortable"),
    ("commit", "_INCONSISTENT", "abortable"),
    ("commit", "SOMETHING_NEW", "abortable"),
    ("commit", "_FENCED", "fatal"),
    ("begin", "_STATE", ""),
    ("begin", "INVALID_PRODUCER_EPOCH", "fatal"),
    ("produce", "_QUEUE_FULL", "abortable"),
    ("produce", "UNKNOWN_PRODUCER_ID", "fatal"),
    ("send_offsets", "ILLEGAL_GENERATION", "abortable"),
    ("send_offsets", "UNKNOWN_MEMBER_ID", "abortable"),
    ("send_offsets", "REBALANCE_IN_PROGRESS", "abortable"),
    ("send_offsets", "_TIMED_OUT", ""),
    ("send_offsets", "_MSG_TIMED_OUT", "abortable"),
    ("deliver", "_MSG_TIMED_OUT", "abortable"),
    ("deliver", "_PURGE_QUEUE", "abortable"),
    ("deliver", "OUT_OF_ORDER_SEQUENCE_NUMBER", "abortable"),
    ("abort", "_TIMED_OUT", ""),
    ("abort", "INVALID_TXN_STATE", "fatal"),
    ("init", "_TIMED_OUT", ""),
    ("committed", "_TIMED_OUT", ""),
    ("bounds", "LEADER_NOT_AVAILABLE", ""),
)
"""(method, kind, severity): what the client library says when something goes wrong for a while."""
