"""What the log says about itself: the schemas of its records and the cards of its agents."""

from __future__ import annotations

import asyncio
import difflib
import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from streams.agent import Agent
from streams.avro import decode, encode, learn, own_schemas
from streams.errors import (
    AgentUnknown,
    LogError,
    RecordUndecodable,
    StreamsError,
    TopicDrift,
    TopicMissing,
)
from streams.ports import Clock, Log, Record, Runner
from streams.records import AgentCard
from streams.topics import Topics

READ_TIMEOUT_S = 15.0
SETTLE_S = 0.02
OTHER_PARTITIONS = (
    "the number of partitions is fixed for a topic's life, and Kafka takes none away: delete the "
    "topic, with what is in it, and run `streams topic apply` again, or give the agent a new name"
)
_APPLY = "streams topic apply"
_PATH = "PATH"


def read_all(
    log: Log,
    topic: str,
    partitions: Iterable[int],
    clock: Clock,
    *,
    pause: Callable[[float], object] | None = None,
) -> Iterator[Record]:
    """Every committed record of the partitions, from the start to their end as of now.

    A transaction that is open hides what was committed behind it, and reading ends before it;
    with ``pause`` (waits the seconds given) its end is waited for. StreamsError if the log does
    not deliver anything for READ_TIMEOUT_S, and LogError if no broker answers then.
    """
    return read_from(log, topic, dict.fromkeys(partitions, 0), clock, pause=pause)


def read_from(
    log: Log,
    topic: str,
    offsets: Mapping[int, int],
    clock: Clock,
    ends: Mapping[int, int] | None = None,
    *,
    pause: Callable[[float], object] | None = None,
) -> Iterator[Record]:
    """As ``read_all``, each partition from its offset (or its start, if that is later).

    With ``ends`` no further than, and not including, these offsets.
    """
    bounds = log.admin().bounds(topic, offsets)
    starts = {p: max(offset, bounds[p].start) for p, offset in offsets.items()}
    limits = {p: min(b.end, ends[p]) if ends else b.end for p, b in bounds.items()}
    open_ = {p for p, start in starts.items() if start < limits[p]}
    if not open_:
        return
    reader = log.reader()
    try:
        reader.assign({(topic, p): starts[p] for p in open_})
        moved_at = clock.monotonic()
        while open_:
            consumed = reader.consume(5_000, 0.1)
            for error in consumed.errors:
                # Said once, then silence: waiting would not help.
                if error.kind == "TOPIC_AUTHORIZATION_FAILED":
                    raise error
            if consumed.records or consumed.ended:
                moved_at = clock.monotonic()
            elif clock.monotonic() - moved_at > READ_TIMEOUT_S:
                # If no broker answers any more this says so.
                log.admin().bounds(topic, open_)
                detail = f": {consumed.errors[0]}" if consumed.errors else ""
                raise StreamsError(f"topic '{topic}' cannot be read to its end{detail}")
            for record in consumed.records:
                if record.offset() < limits[record.partition()]:
                    yield record
                # Others go on writing: without this a busy topic would have no end.
                if record.offset() >= limits[record.partition()] - 1:
                    open_.discard(record.partition())
            for (_, p), at in consumed.ended.items():
                if pause is None or at >= limits[p]:
                    open_.discard(p)
            if pause is not None and open_ and not consumed.records:
                pause(SETTLE_S)
    finally:
        reader.close()


def unanswered(error: LogError) -> StreamsError:
    """What to raise when the log refuses to serve a topic: TopicMissing if it is not there."""
    if error.kind not in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC") or error.topic is None:
        return error
    return _missing(error.topic, Topics.of(error.topic))


class Catalog:
    """Reads and writes ``schemas`` and ``agents``. Safe to use from one event loop."""

    def __init__(self, log: Log, topics: Topics, clock: Clock, runner: Runner) -> None:
        self._log = log
        self._topics = topics
        self._clock = clock
        self._runner = runner
        self._cards: dict[str, AgentCard] = {}
        self._reading = asyncio.Lock()

    async def card(self, agent: str) -> AgentCard:
        """The newest card of an agent; AgentUnknown with the nearest name if there is none."""
        card = self._cards.get(agent)
        if card is None:
            async with self._reading:
                if agent not in self._cards:
                    await self.refresh()
            card = self._cards.get(agent)
        if card is None:
            raise self._unknown(agent)
        return card

    def _unknown(self, agent: str) -> AgentUnknown:
        option = self._topics.option
        if near := difflib.get_close_matches(agent, self._cards, 1):
            meant = f"did you mean '{near[0]}'?"
        elif self._cards:
            meant = f"`streams agent list{option}` shows those that are known,"
        else:
            meant = "no agent is known here yet;"
        return AgentUnknown(
            f"no agent '{agent}' is known here",
            hint=f"{meant} `{_APPLY} PATH{option}` makes one known",
        )

    def known(self, agent: str) -> AgentCard:
        """The card of an agent that was read or published before."""
        return self._cards[agent]

    async def refresh(self) -> dict[str, AgentCard]:
        """Read all schemas and cards anew; returns the cards by agent."""
        self._cards = await self._runner.call(self.read)
        return self._cards

    async def publish(self, agents: Iterable[Agent[Any, Any]]) -> dict[str, AgentCard]:
        """Write our schemas and the cards of these agents where they changed."""
        chosen = list(agents)
        return await self._runner.call(lambda: self.publish_now(chosen))

    # -- blocking ------------------------------------------------------------------------

    def read(self) -> dict[str, AgentCard]:
        """All cards, the newest of each agent, after all schemas; blocks."""
        self._read_schemas()
        return self._read_cards()

    def recorded(self, exists: Container[str]) -> dict[str, AgentCard]:
        """As ``read``, but a topic that is not among those that exist holds nothing; blocks."""
        if self._topics.schemas in exists:
            self._read_schemas()
        return self._read_cards() if self._topics.agents in exists else {}

    def _read_cards(self, paths: str = _PATH) -> dict[str, AgentCard]:
        cards: dict[str, AgentCard] = {}
        for record in self._read(self._topics.agents, paths):
            if record.value():
                try:
                    card = decode(record.value() or b"", AgentCard)
                except RecordUndecodable:
                    continue  # a card of a newer version must not hide the others
                cards[card.agent] = card
        return cards

    def publish_now(
        self, agents: Iterable[Agent[Any, Any]], made: Mapping[str, AgentCard] | None = None
    ) -> dict[str, AgentCard]:
        """As ``publish``; blocks. ``made`` holds cards of topics that were just applied."""
        agents = list(agents)
        paths = shlex.join(dict.fromkeys(map(_path, agents)))
        known = self._read_schemas(paths)
        cards = self._read_cards(paths)
        before = dict(cards)
        cards.update(made or {})
        refused: list[LogError] = []

        def delivered(error: LogError | None) -> None:
            if error is not None:
                refused.append(error)

        producer = self._log.producer()
        try:
            for fingerprint, schema in own_schemas().items():
                if fingerprint not in known:
                    producer.produce(
                        self._topics.schemas,
                        0,
                        fingerprint.encode(),
                        schema.encode(),
                        None,
                        delivered,
                    )
            for agent in agents:
                new = self.card_of(agent, cards.get(agent.name))
                if not _same(new, before.get(agent.name)):
                    key = f"{new.agent}@{new.agent_version}".encode()
                    producer.produce(self._topics.agents, 0, key, encode(new), None, delivered)
                cards[agent.name] = new
            if producer.flush(READ_TIMEOUT_S):
                raise StreamsError("the cards and schemas were not accepted in time")
            if refused:
                raise StreamsError(
                    f"the cards and schemas were refused: {refused[0]}",
                    hint=f"the right to write '{self._topics.agents}' and "
                    f"'{self._topics.schemas}' is needed",
                )
        finally:
            producer.close()
        self._cards.update(cards)
        return cards

    def card_of(self, agent: Agent[Any, Any], known: AgentCard | None) -> AgentCard:
        """The agent's card: its definition now, its topics as `topic apply` recorded them."""
        if known is None:
            raise TopicMissing(
                f"agent '{agent.name}' has no topics yet",
                hint=f"{_APPLY} {shlex.quote(_path(agent))}{self._topics.option}",
            )
        timeout = agent.policy.timeout_s
        return AgentCard(
            agent=agent.name,
            agent_version=agent.policy.version,
            pool=agent.name,
            description=agent.description,
            input_schema=agent.input_schema(),
            output_schema=agent.output_schema(),
            ordering=agent.policy.ordering,
            concurrency=agent.policy.concurrency,
            attempts=agent.policy.retry.attempts,
            timeout_ms=None if timeout is None else round(timeout * 1000),
            deadline_max_ms=known.deadline_max_ms,
            topics=known.topics,
            published_at=self._clock.now_micros(),
        )

    def check_topics(self, card: AgentCard, agent: Agent[Any, Any]) -> None:
        """TopicMissing or TopicDrift unless the pool's and the shared topics are as recorded."""
        shared = [self._topics.costs, self._topics.heartbeats]
        exists = self._log.admin().topics([t.name for t in card.topics] + shared)
        for name in [t.name for t in card.topics] + shared:
            if name not in exists:
                raise _missing(name, self._topics, shlex.quote(_path(agent)))
        for topic in card.topics:
            found = exists[topic.name].partitions
            if found != topic.partitions:
                raise TopicDrift(
                    f"topic '{topic.name}' has {found} partitions, its card says "
                    f"{topic.partitions}: keys would go elsewhere than before",
                    hint=OTHER_PARTITIONS,
                )

    def learn_schemas(self) -> None:
        """Read the schemas topic, so that records of other versions can be decoded; blocks."""
        self._read_schemas()

    def _read_schemas(self, paths: str = _PATH) -> set[str]:
        found: set[str] = set()
        for record in self._read(self._topics.schemas, paths):
            if record.value():
                found.add(learn((record.value() or b"").decode()))
        return found

    def _read(self, topic: str, paths: str) -> Iterator[Record]:
        if topic not in self._log.admin().topics([topic]):
            raise _missing(topic, self._topics, paths)
        return read_all(self._log, topic, [0], self._clock)


def _missing(topic: str, topics: Topics, paths: str = _PATH) -> TopicMissing:
    return TopicMissing(
        f"topic '{topic}' does not exist",
        hint=f"`{_APPLY} {paths}{topics.option}` makes all topics",
    )


def _same(new: AgentCard, old: AgentCard | None) -> bool:
    if old is None:
        return False
    published, new.published_at = new.published_at, old.published_at
    same = new == old
    new.published_at = published
    return same


def _path(agent: Agent[Any, Any]) -> str:
    return agent.source.rpartition(":")[0] or _PATH
