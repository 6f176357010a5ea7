"""Topics, groups and offsets through the admin client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, cast

from confluent_kafka import (
    OFFSET_INVALID,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage]
    NewTopic,  # pyright: ignore[reportPrivateImportUsage]
    OffsetSpec,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from streams.errors import LogError
from streams.kafka import config
from streams.kafka.errors import GROUP_DENIED, TOPIC_DENIED, log_error, raised
from streams.kafka.offsets import (
    COORDINATOR_MOVES,
    OFFSETS_TOPIC,
    RETRY_S,
    GroupOffsets,
    place_of,
)
from streams.ports import Bounds, Committed, GroupInfo, Member, TopicInfo, TopicSpec

REQUEST_TIMEOUT_S = 10.0
# The client's own time-out comes first and says more.
_FUTURE_TIMEOUT_S = REQUEST_TIMEOUT_S + 2.0
VISIBLE_TIMEOUT_S = 10.0
OFFSETS_TIMEOUT_S = 2.0
"""A broker that died a moment ago is still asked; soon after, its partitions have new leaders."""
_EARLIEST = cast(OffsetSpec, OffsetSpec.earliest())
_LATEST = cast(OffsetSpec, OffsetSpec.latest())


class KafkaAdmin:
    """Implements :class:`~streams.ports.Admin`; every call ends within about 12 s.

    But for ``committed_in_log``, which may take a minute.
    """

    def __init__(self, settings: config.Config) -> None:
        # The client types its futures without their results.
        self._client: Any = config.make(AdminClient, settings)
        self._group_offsets = GroupOffsets(settings)
        self._lock = threading.Lock()
        self._made: dict[str, float] = {}
        """When topics were made here."""

    def brokers(self) -> dict[int, str]:
        """The brokers of the cluster by number, each as ``host:port``, from fresh metadata."""
        try:
            found = self._client.list_topics(timeout=REQUEST_TIMEOUT_S).brokers
        except KafkaException as exception:
            raise raised(exception) from exception
        return {number: f"{broker.host}:{broker.port}" for number, broker in found.items()}

    def topics(
        self, names: Iterable[str] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> dict[str, TopicInfo]:
        """The topics that exist, from fresh metadata; a missing name is missing in the result.

        A name that was made here is waited for, until VISIBLE_TIMEOUT_S after that. LogError
        for a name that is hidden from this user.
        """
        wanted = None if names is None else set(names)
        while True:
            try:
                found = self._client.list_topics(timeout=timeout_s).topics
            except KafkaException as exception:
                raise raised(exception) from exception
            infos = {
                name: TopicInfo(name, len(topic.partitions), _replication(topic))
                for name, topic in found.items()
                if topic.error is None and (wanted is None or name in wanted)
            }
            missing = (set(self._made) if wanted is None else wanted) - infos.keys()
            for name in sorted(missing & (wanted or set())):
                self._check_visible(name, timeout_s)
            if not self._are_new(missing):
                return infos
            time.sleep(RETRY_S)

    def _are_new(self, missing: set[str]) -> bool:
        """Whether one of these was made here a moment ago: any broker may be the one to answer,
        also one that has not heard yet of what another has shown."""
        now = time.monotonic()
        with self._lock:
            return any(
                now - self._made.get(n, -VISIBLE_TIMEOUT_S) < VISIBLE_TIMEOUT_S for n in missing
            )

    def _check_visible(self, name: str, timeout_s: float) -> None:
        """LogError if the topic is not missing but hidden: a list leaves out both."""
        try:
            found = self._client.list_topics(name, timeout=timeout_s).topics[name]
        except KafkaException as exception:
            raise raised(exception) from exception
        if found.error is not None and found.error.name() == TOPIC_DENIED:
            right = f"DESCRIBE on topic '{name}' (READ and WRITE include it)"
            raise log_error(found.error, name, rights={TOPIC_DENIED: right})

    def default_replication(self) -> int:
        """Replicas of each partition of a topic that is made now."""
        return int(self._config(ResourceType.BROKER, str(min(self.brokers())))[_REPLICATION])

    def topic_config(self, name: str) -> dict[str, str]:
        return self._config(ResourceType.TOPIC, name)

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create all, with the cluster's default replication; LogError names the topic.

        Returns when the cluster's metadata show all of them; one that fails does not keep the
        others from being created.
        """
        if not specs:
            return
        futures = self._client.create_topics(
            [NewTopic(s.name, s.partitions, config=dict(s.config)) for s in specs],
            request_timeout=REQUEST_TIMEOUT_S,
        )
        failures: list[LogError] = []
        for name, future in futures.items():
            try:
                _result(future, topic=name, right=f"CREATE on topic '{name}'")
            except LogError as error:
                failures.append(_not_made(name, error))
            else:
                with self._lock:
                    self._made[name] = time.monotonic()
        if failures:
            raise failures[0]
        missing = {spec.name for spec in specs} - self.topics(spec.name for spec in specs).keys()
        if missing:
            raise LogError("_TIMED_OUT", "created, but not seen yet", topic=min(missing))

    def bounds(self, topic: str, partitions: Iterable[int]) -> dict[int, Bounds]:
        wanted = list(partitions)
        first = self._offsets(topic, wanted, _EARLIEST)
        last = self._offsets(topic, wanted, _LATEST)
        return {p: Bounds(first[p], last[p]) for p in wanted}

    def offsets_at(
        self, topic: str, partitions: Iterable[int], timestamp_ms: int
    ) -> dict[int, int]:
        """First offset appended at or after the time; the end where there is none."""
        found = self._offsets(topic, partitions, OffsetSpec.for_timestamp(timestamp_ms))
        later = [p for p, offset in found.items() if offset < 0]
        if later:
            found |= {p: bounds.end for p, bounds in self.bounds(topic, later).items()}
        return found

    def committed(
        self, group: str, topic: str, partitions: Iterable[int], *, stable: bool = True
    ) -> dict[int, Committed | None]:
        """What the group committed; None where it never did.

        With ``stable``, LogError ``UNSTABLE_OFFSET_COMMIT`` while a transaction holds an offset.
        """
        return self._group_offsets.committed(group, topic, partitions, stable=stable)

    def committed_in_log(
        self, group: str, topic: str, partitions: Iterable[int]
    ) -> dict[int, Committed | None]:
        """What the group committed, from the log of its coordinator and not from its memory.

        Takes as long as reading that partition of ``__consumer_offsets`` does. LogError
        ``UNSTABLE_OFFSET_COMMIT`` while a transaction holds an offset.
        """
        known = self.topics([OFFSETS_TOPIC]).get(OFFSETS_TOPIC)
        if known is None:
            # Not "nothing was committed": metadata may lack a topic for a moment.
            raise LogError("UNKNOWN_TOPIC_OR_PART", f"no topic '{OFFSETS_TOPIC}' is known")
        place = place_of(group, known.partitions)
        bounds = self.bounds(OFFSETS_TOPIC, [place])[place]
        return self._group_offsets.in_log(group, topic, partitions, place, bounds)

    def set_committed(self, group: str, topic: str, offsets: Mapping[int, Committed]) -> None:
        """Overwrite a group's offsets; LogError if the group has members."""
        if not offsets:
            return
        places = [TopicPartition(topic, p, c.offset, c.metadata) for p, c in offsets.items()]
        asked = ConsumerGroupTopicPartitions(group, places)

        def ask() -> dict[str, Future[Any]]:
            return self._client.alter_consumer_group_offsets(
                [asked], request_timeout=REQUEST_TIMEOUT_S
            )

        _places(_of_group(ask, group, "READ"), topic)

    def groups(self) -> list[str]:
        future = self._client.list_consumer_groups(request_timeout=REQUEST_TIMEOUT_S)
        return sorted(str(group.group_id) for group in _result(future).valid)

    def group(self, name: str) -> GroupInfo:

        def ask() -> dict[str, Future[Any]]:
            return self._client.describe_consumer_groups([name], request_timeout=REQUEST_TIMEOUT_S)

        try:
            found = _of_group(ask, name, "DESCRIBE")
        except LogError as error:
            if error.kind == "GROUP_ID_NOT_FOUND":
                return GroupInfo(name, "dead", ())
            raise
        members = tuple(
            Member(
                member_id=member.member_id,
                client_id=member.client_id,
                instance_id=member.group_instance_id or "",
                host=member.host,
                partitions=tuple(
                    (place.topic, place.partition) for place in member.assignment.topic_partitions
                ),
            )
            for member in found.members
        )
        return GroupInfo(name, found.state.name.lower(), members)

    def _config(self, kind: ResourceType, name: str) -> dict[str, str]:
        resource = ConfigResource(kind, name)
        futures = self._client.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S)
        whose = f"topic '{name}'" if kind == ResourceType.TOPIC else "the cluster"
        entries = _result(futures[resource], right=f"DESCRIBE_CONFIGS on {whose}")
        return {key: entry.value for key, entry in entries.items() if entry.value is not None}

    def _ask_offsets(
        self, topic: str, partitions: Iterable[int], which: OffsetSpec
    ) -> dict[int, Future[Any]]:
        places = {TopicPartition(topic, p): which for p in partitions}
        if not places:
            return {}
        futures = self._client.list_offsets(places, request_timeout=OFFSETS_TIMEOUT_S)
        return {place.partition: future for place, future in futures.items()}

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        """One offset per partition; waits for leaders, which a new topic has only after a while."""
        end = time.monotonic() + VISIBLE_TIMEOUT_S
        found: dict[int, int] = {}
        left = list(partitions)
        while left:
            stale: LogError | None = None
            for p, future in self._ask_offsets(topic, left, spec).items():
                try:
                    offset = _result(future, topic=topic, partition=p).offset
                    if offset == OFFSET_INVALID:
                        # What the client says of a partition whose leader it has lost.
                        raise LogError("LEADER_NOT_AVAILABLE", topic=topic, partition=p)
                    found[p] = offset
                except LogError as error:
                    if error.kind not in _STALE:
                        raise
                    stale = error
            left = [p for p in left if p not in found]
            if stale is not None:
                # The client keeps what it knew of leaders before a broker went, for minutes;
                # only asking for metadata renews it.
                info = self.topics([topic]).get(topic)
                exists = info is not None and max(left) < info.partitions
                if stale.kind == "UNKNOWN_TOPIC_OR_PART" and not exists:
                    raise stale
                if time.monotonic() > end:
                    raise _leaderless(stale)
                time.sleep(RETRY_S)
        return found


_REPLICATION = "default.replication.factor"
_MEND: Mapping[str, str] = {
    "INVALID_REPLICATION_FACTOR": "start more brokers, or lower the brokers' "
    "default.replication.factor"
}
_DENIED = frozenset({TOPIC_DENIED, GROUP_DENIED, "CLUSTER_AUTHORIZATION_FAILED"})
_STALE = frozenset(
    {
        "_TIMED_OUT",
        "NOT_LEADER_FOR_PARTITION",
        "LEADER_NOT_AVAILABLE",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "UNKNOWN_TOPIC_OR_PART",
        # A new leader that has yet to hear from its followers.
        "OFFSET_NOT_AVAILABLE",
    }
)


def _leaderless(error: LogError) -> LogError:
    """What is unknown of a partition that metadata show: who leads it."""
    if error.kind != "UNKNOWN_TOPIC_OR_PART":
        return error
    return LogError(
        "LEADER_NOT_AVAILABLE",
        f"no broker leads partition {error.partition} of topic '{error.topic}'",
        topic=error.topic,
        partition=error.partition,
    )


def _replication(topic: Any) -> int:
    return min((len(p.replicas) for p in topic.partitions.values()), default=0)


def _result(
    future: Future[Any],
    *,
    topic: str | None = None,
    partition: int | None = None,
    right: str = "",
) -> Any:
    """What a future of the admin client brings; its types are not known to the checker.

    ``right`` is the one it takes, if not to describe ``topic``.
    """
    try:
        return future.result(_FUTURE_TIMEOUT_S)
    except KafkaException as exception:
        needed = right or f"DESCRIBE on topic '{topic}' (READ and WRITE include it)"
        rights = dict.fromkeys(_DENIED, needed)
        error = raised(exception, topic, partition, rights)
        if error.kind == "_NOENT":
            # How the client says that metadata show no leader for the partition.
            error = LogError(
                "UNKNOWN_TOPIC_OR_PART",
                f"topic '{topic}' has no such partition",
                topic=topic,
                partition=partition,
            )
        raise error from exception
    except FutureTimeout as exception:
        raise LogError("_TIMED_OUT", "no answer", topic=topic, partition=partition) from exception


def _not_made(name: str, error: LogError) -> LogError:
    """What the broker says of a topic, which it seldom names."""
    said = error.message.removeprefix(f"{error.kind}: ")
    return LogError(
        error.kind,
        f"topic '{name}' cannot be made: {said}",
        retriable=error.retriable,
        topic=name,
        hint=error.hint or _MEND.get(error.kind, ""),
    )


def _of_group(ask: Callable[[], dict[str, Future[Any]]], group: str, right: str) -> Any:
    """The answer of a group's coordinator, asked again while it is still being found or loaded."""
    end = time.monotonic() + REQUEST_TIMEOUT_S
    while True:
        try:
            return _result(ask()[group], right=f"{right} on group '{group}'")
        except LogError as error:
            if error.kind not in COORDINATOR_MOVES or time.monotonic() > end:
                raise
        time.sleep(RETRY_S)


def _places(answer: Any, topic: str) -> list[TopicPartition]:
    """The partitions of a group's answer; LogError for the first that carries an error."""
    places: list[TopicPartition] = answer.topic_partitions
    for place in places:
        if place.error is not None:
            raise log_error(place.error, topic, place.partition)
    return places
