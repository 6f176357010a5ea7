"""What the proxy does to frames is what it was told, and workers behind it answer exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from streams.testing import Kafka
from tests.integration.fleet import Fleet, Member, now_micros

from .proxy import END_TXN, TXN_OFFSET_COMMIT, Proxy, Rule, committed_ok

OUTAGE_S = 8.0
"""Longer than the session (6 s) and the time-out of transactions (5 s)."""


class Site(NamedTuple):
    """A deployment: one worker behind the proxy, one beside it, tasks under way."""

    proxy: Proxy
    fleet: Fleet
    behind: Member
    beside: Member


def works(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [{"number": number, **fields} for number in range(first, first + count)]


@pytest.fixture(params=[1, 3], ids=["one broker", "three brokers"])
def site(request: pytest.FixtureRequest, new_fleet: Callable[[str], Fleet]) -> Iterator[Site]:
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(request.param))
        kafka = stack.enter_context(Kafka(request.param, properties=proxy.properties))
        fleet = new_fleet(kafka.bootstrap)
        stack.callback(fleet.close)
        fleet.apply()
        behind = fleet.start("a", environment={"STREAMS_BOOTSTRAP": proxy.bootstrap})
        beside = fleet.start("b")
        fleet.until(
            lambda: len(fleet.owned(behind)) == len(fleet.owned(beside)) == 3, "both own half"
        )
        fleet.submit(works(1_000, seconds=0.1))
        fleet.until(lambda: len(fleet.answered_by(behind)) >= 20, "it works behind the proxy")
        yield Site(proxy, fleet, behind, beside)


def finish(site: Site, since: int, what: str) -> None:
    """Heal, and show that all goes on, exactly once and without a complaint."""
    lost = site.fleet.owned(site.behind)
    site.proxy.mend()
    site.fleet.submit(works(200, 1_000, seconds=0.05))
    site.fleet.until_answered(60)
    print(f"{what}: first task {site.fleet.recovery_s(since, lost or range(6))} s after the strike")
    site.fleet.verify()
    assert [site.behind.code, site.beside.code] == [None, None]
    for member in (site.behind, site.beside):
        assert "Traceback" not in member.log
        assert "bug" not in member.log


@pytest.mark.parametrize("hang_up", [False, True], ids=["until its time-out", "and hangs up"])
@pytest.mark.parametrize("kind", [END_TXN, TXN_OFFSET_COMMIT], ids=["EndTxn", "TxnOffsetCommit"])
def test_a_reply_is_lost_to_what_the_broker_did(site: Site, kind: int, hang_up: bool) -> None:
    lost = Rule("reply", frozenset({kind}), drop=True, hang_up=hang_up, times=2, client=".a")
    since = now_micros()
    site.proxy.rules = [lost]
    site.fleet.until(lambda: lost.hits == 2, "two replies are swallowed")
    if kind == END_TXN:
        assert any(committed_ok(reply) for reply in lost.struck), "the broker had committed"
    finish(site, since, "replies lost")
