"""Workers that stop with an open transaction, on a real broker behind the proxy."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from streams.testing import Kafka
from tests.fault.proxy import END_TXN, Proxy, Rule

from .fleet import Fleet, Member, balanced, busy, now_micros, quiet, say, works

pytestmark = pytest.mark.integration


class Site(NamedTuple):
    """A broker, and a second way to it that may be held up."""

    kafka: str
    proxy: Proxy


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Proxy() as proxy, Kafka(properties=proxy.properties) as kafka:
        yield Site(kafka.bootstrap, proxy)


def one_behind(
    site: Site, fleet: Fleet, slot: str | None, other: str | None
) -> tuple[Member, Member]:
    """Start a worker behind the proxy and one beside it; return when each owns its half."""
    fleet.apply()
    behind = fleet.start(slot, environment={"STREAMS_BOOTSTRAP": site.proxy.bootstrap})
    beside = fleet.start(other)
    balanced(fleet, [behind, beside])
    return behind, beside


def freeze_in_transaction(site: Site, fleet: Fleet, member: Member) -> None:
    """SIGSTOP it when its transaction is open and holds offsets: the end of it got lost."""
    end = Rule("request", frozenset({END_TXN}), drop=True, times=1)
    site.proxy.rules = [end]
    fleet.until(lambda: end.hits == 1, "it asks for the end of a transaction")
    member.signal(signal.SIGSTOP)
    assert fleet.in_transaction(fleet.owned(member))


def test_another_worker_takes_over_from_a_killed_one_with_an_open_transaction(
    site: Site, new_fleet: Callable[[str], Fleet]
) -> None:
    fleet = new_fleet(site.kafka)
    a, b = one_behind(site, fleet, None, None)
    fleet.submit(works(600, seconds=0.2))
    busy(fleet, a, 50)
    lost = fleet.owned(a)
    freeze_in_transaction(site, fleet, a)
    killed_at = now_micros()
    a.kill()
    fleet.until_answered()
    say("killed in a transaction, another took over", fleet.recovery_s(killed_at, lost))
    fleet.until(lambda: len(fleet.owned(b)) == fleet.partitions, "it owns all")
    fleet.verify()
    quiet(b)


def test_a_frozen_worker_commits_nothing_when_it_wakes_and_works_on(
    site: Site, new_fleet: Callable[[str], Fleet]
) -> None:
    fleet = new_fleet(site.kafka)
    a, b = one_behind(site, fleet, "a", "b")
    fleet.submit(works(500, seconds=0.2))
    busy(fleet, a, 50)
    lost = fleet.owned(a)
    freeze_in_transaction(site, fleet, a)
    frozen_at = now_micros()
    fleet.until(lambda: len(fleet.owned(b)) == fleet.partitions, "the other owns all")
    fleet.until(lambda: fleet.recovery_s(frozen_at, lost) is not None, "the other goes on")
    say("frozen, another took over", fleet.recovery_s(frozen_at, lost))
    woken_at = now_micros()
    a.signal(signal.SIGCONT)
    balanced(fleet, [a, b])
    fleet.submit(works(200, 500, seconds=0.1))
    fleet.until_answered()
    assert fleet.answered_by(a, since=woken_at), "the woken worker works on"
    assert "was stopped for" in a.log
    fleet.verify()
    quiet(a)
    quiet(b)
