"""A member of a consumer group, as the client library behaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streams.errors import LogError
from streams.ports import Consumed, Membership, RebalanceListener, TopicPartition
from streams.testing.memory.broker import Broker
from streams.testing.memory.calls import Client
from streams.testing.memory.fetch import Fetcher
from streams.testing.memory.groups import GroupMember, Identity
from streams.testing.runner import SingleThread, idle


class MemoryGroupConsumer:
    """Implements :class:`~streams.ports.GroupConsumer`; ``consume`` never waits.

    Rebalances happen inside ``consume`` as in the real client, an empty ``on_assign`` in each
    generation included.
    """

    def __init__(self, broker: Broker, client: Client, group: str, topic: str, slot: str) -> None:
        self._broker = broker
        self._client = client
        self._group = broker.group(group)
        self._topic = topic
        self._slot = slot
        self._listener: RebalanceListener | None = None
        self._member: GroupMember | None = None
        self._fetcher = Fetcher(broker.storage)
        self._paused: set[int] = set()
        self._topic_reported = False
        self._own = SingleThread()

    def subscribe(self, listener: RebalanceListener) -> None:
        self._client.require_alive()
        self._listener = listener

    def consume(self, records_max: int, timeout_s: float) -> Consumed:
        self._client.require_alive()
        self._own()
        now = self._broker.advance()
        args = (records_max, timeout_s)
        errors = self._told(args, applied=False)
        if errors or self._client.silent_since is not None:
            return Consumed((), errors)
        self._serve_group(now, errors)
        skip = frozenset((self._topic, p) for p in self._paused)
        records, failed, ended = self._fetcher.fetch(records_max, skip)
        if not (records or failed or errors):
            idle(min(timeout_s, self._broker.idle_s))
            self._client.require_alive()
        errors += [*failed, *self._told(args, applied=True)]
        return Consumed(records, errors, ended)

    def membership(self) -> Membership:
        self._client.require_alive()
        self._own()
        member = self._member
        generation, member_id = (-1, "") if member is None else (member.generation, member.id)
        token = Identity(self._group.name, generation, member_id, self._slot)
        return Membership(token, generation, member_id)

    def pause(self, partitions: Iterable[int]) -> None:
        self._own()
        self._paused.update(self._owned.intersection(partitions))

    def resume(self, partitions: Iterable[int]) -> None:
        self._own()
        self._paused.difference_update(partitions)

    def unsubscribe(self) -> None:
        """Leave the group (a static member too)."""
        self._end(leave=True)

    def close(self) -> None:
        """Release everything; a static member that did not unsubscribe stays until its session."""
        self._end(leave=not self._slot)
        if self._client.silent_since is None:
            self._client.silent_since = self._broker.clock.monotonic()
        self._client.dead = True

    @property
    def _owned(self) -> frozenset[int]:
        return frozenset(number for _, number in self._fetcher.partitions)

    def _places(self, partitions: Iterable[int]) -> frozenset[TopicPartition]:
        return frozenset((self._topic, number) for number in partitions)

    def _told(self, args: tuple[object, ...], *, applied: bool) -> list[LogError]:
        try:
            self._broker.faults.tell(self._client, "consume", args, applied=applied)
        except LogError as error:
            return [error]
        return []

    def _serve_group(self, now: float, errors: list[LogError]) -> None:
        """Do what the group asks for: notice a loss, join, take an assignment."""
        if self._listener is None:
            return
        if self._member is not None and self._member.status == "fenced":
            # Said once and never again, and without a revocation: so does the real client.
            errors.append(LogError("_FATAL", "static member fenced by another of the same id"))
            self._listener = None
            self._forget()
            return
        if self._topic not in self._broker.storage.topics and not self._topic_reported:
            self._topic_reported = True
            errors.append(LogError("UNKNOWN_TOPIC_OR_PART", self._topic, topic=self._topic))
        if self._member is not None and self._member.status in ("expired", "expelled"):
            if self._member.status == "expired":
                self._lose(self._listener)
            # Else it had been joining, and joins as a new member that keeps what it had.
            self._member = None
        if self._member is None:
            self._member = self._group.admit(self._client, self._slot, self._topic, now)
        elif self._group.rebalancing_since is not None and not self._waiting(self._member):
            self._group.join(self._member, self._owned, now)
        if self._member.pending:
            self._take(self._member, self._listener)

    @staticmethod
    def _waiting(member: GroupMember) -> bool:
        return member.joined or member.pending

    def _take(self, member: GroupMember, listener: RebalanceListener) -> None:
        """Give up what moves away and join again for it; begin with what was gained."""
        member.pending = False
        revoked = self._owned - member.assigned
        gained = member.assigned - self._owned
        try:
            if revoked:
                self._give_up(revoked, listener.on_revoke)
            self._fetcher.add(dict.fromkeys(sorted(self._places(gained))))
            offsets = listener.on_assign(sorted(gained))
            self._fetcher.add({(self._topic, p): offsets[p] for p in gained if p in offsets})
        finally:
            # Also if the listener raised: the client library goes on without it.
            if revoked and member.status == "active" and not self._client.dead:
                self._group.join(member, self._owned, self._broker.clock.monotonic())

    def _give_up(self, partitions: frozenset[int], tell: Callable[[Sequence[int]], None]) -> None:
        try:
            tell(sorted(partitions))
        finally:
            self._fetcher.drop(self._places(partitions))
            self._paused -= partitions

    def _lose(self, listener: RebalanceListener) -> None:
        if self._owned:
            self._give_up(self._owned, listener.on_lost)

    def _forget(self) -> None:
        self._fetcher.drop()
        self._paused.clear()

    def _end(self, *, leave: bool) -> None:
        """Give everything up while still a member, then leave if asked to."""
        listener = self._listener
        if listener is None or self._client.dead:
            return
        now = self._broker.advance()
        member = self._member
        try:
            if member is None or member.status != "active":
                self._lose(listener)
            elif self._owned:
                self._give_up(self._owned, listener.on_revoke)
        finally:
            self._listener = None
            if leave and member is not None:
                self._group.leave(member, now)
                self._member = None
