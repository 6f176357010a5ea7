"""Consumer groups as the coordinator sees them: members, generations, offsets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from streams.errors import LogError
from streams.ports import Committed, TopicPartition
from streams.testing.memory.assignor import cooperative
from streams.testing.memory.calls import Client
from streams.testing.memory.storage import Storage

JOIN_DELAY_S = 0.3
"""A member that is not consuming joins a rebalance from its heartbeat thread after this."""


@dataclass(eq=False)
class GroupMember:
    """One member. ``pending``: an assignment its consumer has not taken yet."""

    id: str
    client: Client
    instance_id: str
    topic: str
    owned: frozenset[int] = frozenset()
    assigned: frozenset[int] = frozenset()
    generation: int = -1
    joined: bool = False
    pending: bool = False
    status: Literal["active", "expired", "expelled", "fenced"] = "active"


class Identity(NamedTuple):
    """What a consumer's group metadata carries: the token of a Membership."""

    group: str
    generation: int
    member_id: str
    instance_id: str


@dataclass(eq=False)
class Group:
    """A classic group with the cooperative-sticky assignor."""

    name: str
    storage: Storage
    members: dict[str, GroupMember] = field(default_factory=dict[str, GroupMember])
    generation: int = 0
    rebalancing_since: float | None = None
    offsets: dict[TopicPartition, Committed] = field(
        default_factory=dict[TopicPartition, Committed]
    )
    logged: dict[TopicPartition, Committed] = field(default_factory=dict[TopicPartition, Committed])
    """The same in the coordinator's log, from which it loads what it says."""
    unstable: dict[TopicPartition, set[int]] = field(default_factory=dict[TopicPartition, set[int]])
    """Producer ids whose open transaction holds an offset of this partition."""
    _members_made: int = 0

    @property
    def state(self) -> str:
        if not self.members:
            return "empty"
        return "stable" if self.rebalancing_since is None else "preparing_rebalancing"

    def admit(self, client: Client, instance_id: str, topic: str, now: float) -> GroupMember:
        """A new member; with the instance id of another it takes over and fences that one."""
        self._members_made += 1
        member = GroupMember(f"{client.id}-{self._members_made}", client, instance_id, topic)
        older = self._instance(instance_id)
        if older is None:
            self.members[member.id] = member
            self.join(member, frozenset(), now)
            return member
        older.status = "fenced"
        # The newcomer stands where the older stood, so that the order of members stays.
        self.members = {
            m.id: m for m in (member if m is older else m for m in self.members.values())
        }
        member.assigned, member.generation = older.assigned, older.generation
        if self.rebalancing_since is None:
            member.pending = True
        else:
            self.join(member, frozenset(), now)
        return member

    def join(self, member: GroupMember, owned: frozenset[int], now: float) -> None:
        """A member asks for the next generation, naming what it owns."""
        member.owned, member.joined = owned, True
        self._rebalance(now)

    def leave(self, member: GroupMember, now: float) -> None:
        """Take a member out; nothing if it is out already."""
        if self.members.get(member.id) is member:
            del self.members[member.id]
            self._rebalance(now)

    def topic_created(self, topic: str, now: float) -> None:
        """Members of a topic that was missing get its partitions."""
        if any(member.topic == topic for member in self.members.values()):
            self._rebalance(now)

    def advance(self, now: float, session_s: float) -> None:
        """Expire silent members and let the heartbeat threads of the others join."""
        for member in list(self.members.values()):
            since = member.client.silent_since
            if since is not None and now - since >= session_s:
                member.status = "expelled" if member.client.joining else "expired"
                self.leave(member, now)
        if self.rebalancing_since is not None and now - self.rebalancing_since >= JOIN_DELAY_S:
            for member in self.members.values():
                if not (member.joined or member.pending) and member.client.silent_since is None:
                    # Its consumer has taken all it was given, so this is what it owns.
                    member.owned, member.joined = member.assigned, True
            self._complete()

    def commit(self, topic: str, partition: int, committed: Committed) -> None:
        """An offset is committed."""
        self.offsets[topic, partition] = self.logged[topic, partition] = committed

    def release(self, producer_id: int) -> None:
        """A producer's transaction over these offsets has ended: it holds none any more."""
        for place, holders in list(self.unstable.items()):
            holders.discard(producer_id)
            if not holders:
                del self.unstable[place]

    def check_stable(self, topic: str, partitions: Iterable[int]) -> None:
        """LogError if an open transaction holds an offset of one of these."""
        for p in partitions:
            if (topic, p) in self.unstable:
                raise LogError("UNSTABLE_OFFSET_COMMIT", retriable=True, topic=topic, partition=p)

    def check_commit(self, identity: Identity) -> None:
        """What the coordinator checks of a transactional offset commit: never who owns it."""
        if identity.generation < 0 and not identity.member_id:
            return
        member = self.members.get(identity.member_id)
        if member is None:
            fenced = self._instance(identity.instance_id) is not None
            raise LogError("FENCED_INSTANCE_ID" if fenced else "UNKNOWN_MEMBER_ID", abortable=True)
        if identity.generation != self.generation:
            raise LogError("ILLEGAL_GENERATION", abortable=True)

    def _instance(self, instance_id: str) -> GroupMember | None:
        found = (m for m in self.members.values() if instance_id and m.instance_id == instance_id)
        return next(found, None)

    def _rebalance(self, now: float) -> None:
        if self.rebalancing_since is None:
            self.rebalancing_since = now
        self._complete()

    def _complete(self) -> None:
        """Begin the next generation once every member has joined."""
        if not all(member.joined for member in self.members.values()):
            return
        self.rebalancing_since = None
        self.generation += 1
        for topic in sorted({member.topic for member in self.members.values()}):
            known = self.storage.topics.get(topic)
            owned = {m.id: m.owned for m in self.members.values() if m.topic == topic}
            shares = cooperative(owned, len(known.partitions) if known else 0)
            for member_id, share in shares.items():
                member = self.members[member_id]
                member.assigned, member.generation = share, self.generation
                member.joined, member.pending = False, True
