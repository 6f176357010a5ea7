"""Assignment in memory: balanced, sticky, and never two owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.ports import TopicSpec
from streams.testing.memory import MemoryLog
from streams.testing.memory.assignor import cooperative, target


class Clock:
    now = 0.0

    def now_micros(self) -> int:
        return round(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now

    boottime = monotonic


class Member:
    """Owns what its callbacks say."""

    def __init__(self, log: MemoryLog, name: str, slot: str | None) -> None:
        self.name = name
        self.owned: set[int] = set()
        self.frozen = False
        self.consumer = log.group_consumer(group="g", topic="t", client_id=name, slot=slot)
        self.consumer.subscribe(self)

    def on_assign(self, partitions: Sequence[int]) -> Mapping[int, int]:
        assert not self.owned & set(partitions)
        self.owned |= set(partitions)
        return dict.fromkeys(partitions, 0)

    def on_revoke(self, partitions: Sequence[int]) -> None:
        self.owned -= set(partitions)

    on_lost = on_revoke


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(0, 5), st.integers(1, 12))
def test_the_target_is_balanced_and_moves_no_more_than_it_must(
    owners: list[int], members: int, partitions: int
) -> None:
    owned: dict[str, set[int]] = {f"m{n}": set() for n in range(members)}
    for partition, owner in enumerate(owners[:partitions]):
        if f"m{owner}" in owned:
            owned[f"m{owner}"].add(partition)
    wanted = target(owned, partitions)
    shares = sorted(len(share) for share in wanted.values())
    assert sum(shares) == (partitions if members else 0)
    if members:
        assert shares[-1] - shares[0] <= 1
        assert set().union(*wanted.values()) == set(range(partitions))
    larger = partitions // members + (partitions % members > 0) if members else 0
    for member, share in wanted.items():
        assert len(share & owned[member]) >= min(len(owned[member]), larger - 1)
    given_now = cooperative(owned, partitions)
    for member, share in given_now.items():
        others = set().union(*(owned[o] for o in owned if o != member))
        assert not share & others


def rounds(clock: Clock, members: Mapping[int, Member]) -> None:
    for _ in range(200):
        clock.now += 0.1
        for member in members.values():
            member.consumer.consume(10, 0)


steps = st.lists(
    st.tuples(
        st.sampled_from([*["poll"] * 6, "join", "join", "leave", "freeze", "thaw", "kill", "wait"]),
        st.integers(0, 2),
    ),
    min_size=20,
    max_size=80,
)


@settings(deadline=None, max_examples=200)
@given(steps, st.booleans())
def test_no_partition_has_two_living_owners(plan: list[tuple[str, int]], static: bool) -> None:
    clock = Clock()
    log = MemoryLog(clock)
    log.admin().create_topics([TopicSpec("t", 5)])
    members: dict[int, Member] = {}
    for what, number in plan:
        member = members.get(number)
        clock.now += 0.05
        if what == "wait":
            clock.now += 3
        elif what == "join" and member is None:
            slot = str(number) if static else None
            members[number] = Member(log, f"m{number}", slot)
        elif member is None:
            continue
        elif what == "poll" and not member.frozen:
            member.consumer.consume(10, 0)
        elif what == "leave" and not member.frozen:
            member.consumer.unsubscribe()
            member.consumer.close()
            del members[number]
        elif what == "kill":
            log.kill(member.name)
            del members[number]
        elif what in ("freeze", "thaw"):
            getattr(log, what)(member.name)
            member.frozen = what == "freeze"
            if not member.frozen:
                member.consumer.consume(10, 0)
        living = [p for m in members.values() if not m.frozen for p in m.owned]
        assert len(living) == len(set(living))
    for member in members.values():
        log.thaw(member.name)
    rounds(clock, members)
    if members:
        # A static member that died while it gave partitions up leaves them to nobody until the
        # next one joins: so does Kafka (tests/contract/test_groups.py).
        members[9] = Member(log, "m9", "9" if static else None)
        rounds(clock, members)
        assert sorted(p for m in members.values() for p in m.owned) == [0, 1, 2, 3, 4]
