"""What the proxy does to frames is what it was told, and workers behind it answer exactly once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from streams.testing import Kafka
from tests.integration.fleet import Fleet, Member, works

from .damage import DAMAGES, Damage
from .proxy import (
    ADD_OFFSETS,
    END_TXN,
    JOIN_GROUP,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Proxy,
    Rule,
    error_of,
)

LATE_S = 6.0
"""When a delayed EndTxn arrives: its client has given up after three to five seconds."""
SOON_S = 2.0
"""The same where its client's connection was reset: it has sent the request again at once."""
OPEN_S = 2.8
"""How long transactions stay open after that one, so that it arrives inside of one of them."""


class Site(NamedTuple):
    """A deployment: one worker behind the proxy, one beside it, tasks under way."""

    proxy: Proxy
    fleet: Fleet
    behind: Member
    beside: Member


Enter = Callable[[int], Site]


@pytest.fixture
def enter(stack: ExitStack, new_fleet: Callable[[str], Fleet]) -> Enter:
    """Makes a site with so many brokers."""

    def make(brokers: int) -> Site:
        proxy = stack.enter_context(Proxy(brokers))
        kafka = stack.enter_context(Kafka(brokers, properties=proxy.properties))
        fleet = new_fleet(kafka.bootstrap)
        behind = fleet.start("a", environment={"STREAMS_BOOTSTRAP": proxy.bootstrap})
        beside = fleet.start("b")
        fleet.until(
            lambda: len(fleet.owned(behind)) == len(fleet.owned(beside)) == 3, "both own half"
        )
        fleet.submit(works(800, seconds=0.1))
        fleet.until(lambda: len(fleet.answered_by(behind)) >= 20, "it works behind the proxy")
        return Site(proxy, fleet, behind, beside)

    return make


def finish(site: Site) -> None:
    """Heal, and show that all goes on, exactly once and without a complaint."""
    site.proxy.mend()
    healed_at = time.monotonic()
    site.fleet.submit(works(200, 800, seconds=0.05))
    site.fleet.until_answered()
    print(f"all answered {time.monotonic() - healed_at:.1f} s after it was healed")
    site.fleet.verify()
    assert [site.behind.code, site.beside.code] == [None, None]
    for member in (site.behind, site.beside):
        assert "Traceback" not in member.log
        assert "bug" not in member.log


@pytest.mark.parametrize("brokers", [1, 3])
@pytest.mark.parametrize("hang_up", [False, True], ids=["until its time-out", "and hangs up"])
@pytest.mark.parametrize("kind", [END_TXN, TXN_OFFSET_COMMIT], ids=["EndTxn", "TxnOffsetCommit"])
def test_a_reply_is_lost_to_what_the_broker_did(
    enter: Enter, kind: int, hang_up: bool, brokers: int
) -> None:
    site = enter(brokers)
    lost = Rule("reply", frozenset({kind}), drop=True, hang_up=hang_up, times=2, client=".a")
    site.proxy.rules = [lost]
    site.fleet.until(lambda: lost.hits == 2, "two replies are swallowed")
    if kind == END_TXN:
        assert any(error_of(reply) == 0 for reply in lost.struck), "the broker had committed"
    finish(site)


@pytest.mark.parametrize(
    ("late_s", "hang_up"), [(LATE_S, False), (SOON_S, True)], ids=["a time-out", "a reset"]
)
def test_a_transaction_is_not_ended_by_the_late_request_of_another(
    enter: Enter, late_s: float, hang_up: bool
) -> None:
    site = enter(1)
    kinds = frozenset({END_TXN})
    late = Rule("request", kinds, delay_s=late_s, hang_up=hang_up, times=1, client=".a")
    site.proxy.rules = [late]
    site.fleet.until(lambda: late.hits == 1, "the end of a transaction is delayed")
    struck_at = time.monotonic()
    # Each further transaction stays open with its offsets and without its records, or the reverse,
    # the first of them while the late request arrives.
    kinds = frozenset({PRODUCE if hang_up else ADD_OFFSETS})
    long = Rule("request", kinds, delay_s=OPEN_S, client=".a")
    site.proxy.rules = [late, long]
    site.fleet.submit(works(400, 2_000, seconds=0.5))
    site.fleet.until(lambda: time.monotonic() - struck_at > late_s + 0.2, "it has arrived")
    assert site.behind.code is None
    site.behind.kill()
    again = site.fleet.start("a")
    finish(site._replace(behind=again))


def test_a_member_that_was_expelled_while_it_joined_commits_nothing_of_before(enter: Enter) -> None:
    site = enter(1)
    fleet = site.fleet
    # It hears that the group changes and answers, and no answer gets through. The client keeps what
    # it had when it comes back: it takes itself for a member all the time.
    site.proxy.rules = [Rule("request", frozenset({JOIN_GROUP}), hang_up=True, client=".a")]
    third = fleet.start("c")
    fleet.until(
        lambda: len(fleet.owned(site.beside)) + len(fleet.owned(third)) == 6, "others own all"
    )
    fleet.submit(works(300, 2_000, seconds=0.05))
    fleet.until_answered()
    site.proxy.mend()
    fleet.until(lambda: len(fleet.owned(site.behind)) == 2, "it is back")
    finish(site)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_damaged_network_loses_nothing(enter: Enter, damage: Damage) -> None:
    site = enter(1)
    rng = random.Random(damage.name)
    damage.do(site.proxy, rng)
    shortest, longest = damage.pause_s
    time.sleep(rng.uniform(shortest, longest))  # as long as the fault is to last
    site.proxy.mend()
    finish(site)
