"""Questions about and changes of topics, groups and offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streams.errors import LogError
from streams.ports import Bounds, Committed, GroupInfo, Member, TopicInfo, TopicSpec
from streams.testing.memory.broker import Broker
from streams.testing.memory.calls import Client


class MemoryAdmin:
    """Implements :class:`~streams.ports.Admin`."""

    def __init__(self, broker: Broker, client: Client) -> None:
        self._broker = broker
        self._client = client

    def brokers(self) -> dict[int, str]:
        """The one broker there is."""
        with self._broker.faults.around(self._client, "brokers"):
            return {1: "memory:9092"}

    def default_replication(self) -> int:
        """One broker, one replica."""
        with self._broker.faults.around(self._client, "default_replication"):
            return 1

    def topics(self, names: Iterable[str] | None = None) -> dict[str, TopicInfo]:
        """The topics that exist; a missing name is missing in the result."""
        wanted = None if names is None else set(names)
        with self._broker.faults.around(self._client, "topics", wanted):
            return {
                name: TopicInfo(name, len(topic.partitions), 1)
                for name, topic in self._broker.storage.topics.items()
                if wanted is None or name in wanted
            }

    def topic_config(self, name: str) -> dict[str, str]:
        with self._broker.faults.around(self._client, "topic_config", name):
            self._broker.storage.partition(name, 0)
            return dict(self._broker.storage.topics[name].spec.config)

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create all; LogError names the first topic refused, the others are created."""
        now = self._broker.advance()
        refused: list[LogError] = []
        with self._broker.faults.around(self._client, "create_topics", specs):
            for spec in specs:
                try:
                    self._broker.storage.create(spec)
                except LogError as error:
                    refused.append(error)
                    continue
                for group in self._broker.groups.values():
                    group.topic_created(spec.name, now)
            if refused:
                raise refused[0]

    def bounds(self, topic: str, partitions: Iterable[int]) -> dict[int, Bounds]:
        numbers = list(partitions)
        self._broker.advance()
        with self._broker.faults.around(self._client, "bounds", topic, numbers):
            return {p: self._broker.storage.partition(topic, p).bounds for p in numbers}

    def offsets_at(
        self, topic: str, partitions: Iterable[int], timestamp_ms: int
    ) -> dict[int, int]:
        """First offset appended at or after the time; the end where there is none."""
        numbers = list(partitions)
        with self._broker.faults.around(self._client, "offsets_at", topic, numbers, timestamp_ms):
            storage = self._broker.storage
            return {p: storage.partition(topic, p).offset_at(timestamp_ms) for p in numbers}

    def committed(
        self, group: str, topic: str, partitions: Iterable[int], *, stable: bool = True
    ) -> dict[int, Committed | None]:
        """What the group committed; None where it never did.

        With ``stable``, LogError ``UNSTABLE_OFFSET_COMMIT`` while a transaction holds an offset.
        """
        numbers = list(partitions)
        self._broker.advance()
        with self._broker.faults.around(self._client, "committed", group, topic, numbers, stable):
            known = self._broker.groups.get(group)
            if known is None:
                return dict.fromkeys(numbers)
            if stable:
                known.check_stable(topic, numbers)
            return {
                p: self._broker.misread.pop((group, topic, p), None)
                or known.offsets.get((topic, p))
                for p in numbers
            }

    def committed_in_log(
        self, group: str, topic: str, partitions: Iterable[int]
    ) -> dict[int, Committed | None]:
        numbers = list(partitions)
        self._broker.advance()
        with self._broker.faults.around(self._client, "committed_in_log", group, topic, numbers):
            known = self._broker.groups.get(group)
            if known is None:
                return dict.fromkeys(numbers)
            known.check_stable(topic, numbers)
            return {p: known.logged.get((topic, p)) for p in numbers}

    def set_committed(self, group: str, topic: str, offsets: Mapping[int, Committed]) -> None:
        """Overwrite a group's offsets; LogError if the group has members."""
        self._broker.advance()
        with self._broker.faults.around(self._client, "set_committed", group, topic, offsets):
            known = self._broker.group(group)
            if known.members:
                raise LogError("UNKNOWN_MEMBER_ID", f"group {group} has members", topic=topic)
            for p, committed in offsets.items():
                self._broker.storage.partition(topic, p)
                known.commit(topic, p, committed)

    def groups(self) -> list[str]:
        self._broker.advance()
        with self._broker.faults.around(self._client, "groups"):
            known = self._broker.groups.values()
            return sorted(g.name for g in known if g.members or g.offsets)

    def group(self, name: str) -> GroupInfo:
        self._broker.advance()
        with self._broker.faults.around(self._client, "group", name):
            group = self._broker.groups.get(name)
            if group is None or not (group.members or group.offsets):
                return GroupInfo(name, "dead", ())
            members = tuple(
                Member(
                    m.id,
                    m.client.id,
                    m.instance_id,
                    "memory",
                    tuple((m.topic, p) for p in sorted(m.assigned)),
                )
                for m in group.members.values()
            )
            return GroupInfo(name, group.state, members)
