"""Workers under faults on a real Kafka: whatever happens, each task has exactly one result."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient

from streams.broker.ports import free_ports
from streams.errors import InputTooLarge
from streams.testing import Kafka

from .fleet import AGENTS, Fleet, Member, balanced, busy, now_micros, quiet, say, works

pytestmark = pytest.mark.integration

OUTAGE_S = 8.0
"""Longer than the session (6 s) and the time-out of transactions (5 s)."""


def start_all(fleet: Fleet, *slots: str | None) -> list[Member]:
    """Start one worker per slot; return when the group is balanced over them."""
    members = [fleet.start(slot) for slot in slots]
    balanced(fleet, members)
    return members


def test_a_killed_worker_goes_on_in_its_slot(fleet: Fleet) -> None:
    fleet.apply()
    a, b = start_all(fleet, "a", "b")
    fleet.submit(works(400, seconds=0.2))
    busy(fleet, a, 100)
    lost, kept = fleet.owned(a), fleet.owned(b)
    killed_at = now_micros()
    a.kill()
    again = fleet.start("a")
    fleet.until_answered()
    say("killed, restarted in its slot", fleet.recovery_s(killed_at, lost))
    assert fleet.answered_by(again), "the restarted worker answered something"
    assert fleet.owned(b) == kept, "the other worker saw no rebalance"
    fleet.verify()
    quiet(b)


def test_a_rolling_restart_runs_no_finished_task_again(fleet: Fleet) -> None:
    fleet.apply()
    members = start_all(fleet, "a", "b", "c")
    fleet.submit(works(1_500, seconds=0.3))
    busy(fleet, members[0], 50)
    for index, slot in enumerate("abc"):
        leaving = members[index]
        asked_at = now_micros()
        leaving.signal(signal.SIGTERM)
        assert leaving.ended() == 0
        assert not [
            e
            for e in fleet.diary()
            if e.pid == leaving.pid and e.event == "cut" and e.at > asked_at
        ], "running tasks were waited for"
        members[index] = fleet.start(slot)
        balanced(fleet, members)
        assert all(left.deaths == 0 for left in fleet.maps().values())
    fleet.until_answered()
    ends = Counter(entry.number for entry in fleet.diary() if entry.event == "end")
    again = [number for number, times in ends.items() if times > 1]
    # What ends in the moment between the release and the loss of a partition runs again: over
    # six rebalances of 1,500 tasks less than one worker runs at once.
    assert len(again) < 20, again
    for member in members:
        member.signal(signal.SIGTERM)
    assert [member.ended() for member in members] == [0, 0, 0]
    assert all(left.released and not left.deaths for left in fleet.maps().values())
    fleet.verify()
    for member in fleet.members:
        quiet(member)


def test_a_worker_that_keeps_its_slot_finds_its_partitions_again(fleet: Fleet) -> None:
    fleet.apply()
    a, b = start_all(fleet, "a", "b")
    fleet.submit(works(300, seconds=0.2))
    busy(fleet, a, 50)
    kept, others = fleet.owned(a), fleet.owned(b)
    epochs = {p: left.epoch for p, left in fleet.maps().items()}
    asked_at = now_micros()
    a.signal(signal.SIGUSR1)
    assert a.ended() == 0
    assert all(fleet.maps()[p].released for p in kept)
    again = fleet.start("a")
    fleet.until_answered()
    say("restarted with its partitions kept", fleet.recovery_s(asked_at, kept))
    fleet.until(lambda: fleet.owned(again) == kept, "it owns them again")
    assert fleet.owned(b) == others
    after = fleet.maps()
    assert {p: left.epoch for p, left in after.items()} == {
        p: epoch + (p in kept) for p, epoch in epochs.items()
    }
    assert all(left.deaths == 0 for left in after.values())
    fleet.verify()
    for member in fleet.members:
        quiet(member)


def test_poison_and_oversized_records_do_not_stop_a_partition(fleet: Fleet) -> None:
    fleet.apply(partitions=2)
    fleet.submit(works(20))
    poison = [b"not a record", b"", b"\xc3\x01" + b"\0" * 20]
    for value in poison:
        for partition in range(2):
            fleet.write_task(value, partition)
    (too_large,) = fleet.submit([{"number": 20, "pad": 2_000_000}])
    with pytest.raises(InputTooLarge, match="its topic takes"):
        fleet.submit([{"number": 21, "deadly": "x" * 2_000_000}])
    fleet.submit(works(20, 30))
    worker = fleet.start("a")
    fleet.until_answered()
    fleet.until(lambda: len(fleet.dead) == 7, "seven dead letters")
    by_reason = Counter(letter.reason for letter in fleet.dead)
    assert by_reason == {"undecodable": 6, "result_too_large": 1}
    assert Counter(d.value or b"" for d in fleet.dead if d.reason == "undecodable") == Counter(
        poison * 2
    )
    refused = next(r for r in fleet.results if r.task_id == too_large)
    assert (refused.status, refused.reason) == ("failed", "result_too_large")
    assert [r.status for r in fleet.results].count("succeeded") == 40
    fleet.verify()
    quiet(worker)


def test_a_missing_topic_at_start_is_named_with_the_command(fleet: Fleet) -> None:
    nothing = fleet.start("a")
    assert nothing.ended() == 4
    assert f"topic '{fleet.topics.schemas}' does not exist" in nothing.log
    assert "streams topic apply" in nothing.log
    fleet.apply()
    results = fleet.topics.results(fleet.agent.name)
    client = AdminClient({"bootstrap.servers": fleet.bootstrap})
    client.delete_topics([results])[results].result(10.0)
    fleet.until(lambda: results not in fleet.log.admin().topics(), "the topic is gone")
    one = fleet.start("b")
    assert one.ended() == 4
    assert f"topic '{results}' does not exist" in one.log
    assert f"streams topic apply {AGENTS}" in one.log
    # Made again, as the hint says, the same deployment works.
    fleet.apply()
    again = fleet.start("b")
    fleet.submit(works(20))
    fleet.until_answered()
    fleet.verify()
    for member in (nothing, one, again):
        quiet(member)


def test_an_unreachable_broker_is_said_with_a_hint(new_fleet: Callable[[str], Fleet]) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    worker = new_fleet(address).start("a")
    assert worker.ended() == 3
    assert f"no Kafka broker answers at {address}" in worker.log
    assert "hint: " in worker.log
    quiet(worker)


def test_workers_outlive_their_broker(new_fleet: Callable[[str], Fleet]) -> None:
    with Kafka() as own:
        fleet = new_fleet(own.bootstrap)
        fleet.apply()
        members = start_all(fleet, "a", "b")
        fleet.submit(works(600, seconds=0.2))
        busy(fleet, members[0], 50)
        own.pause(1)
        time.sleep(OUTAGE_S)
        resumed_at = now_micros()
        own.resume(1)
        everything = range(fleet.partitions)
        fleet.until(lambda: fleet.recovery_s(resumed_at, everything) is not None, "work goes on")
        say("broker frozen and continued", fleet.recovery_s(resumed_at, everything))
        balanced(fleet, members)
        fleet.submit(works(600, 600, seconds=0.2))
        busy(fleet, members[0], 50)
        own.kill(1)
        killed_at = now_micros()
        own.restart(1)
        fleet.until_answered()
        say("broker killed and restarted", fleet.recovery_s(killed_at, everything))
        assert [member.code for member in members] == [None, None]
        fleet.verify()
        for member in members:
            quiet(member)


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_task_that_kills_its_worker_alone_is_given_up(fleet: Fleet, how: str) -> None:
    fleet.apply(partitions=2)
    fleet.submit(works(50, seconds=0.05))
    (deadly,) = fleet.submit([{"number": 50, "deadly": how}])
    fleet.submit(works(50, 51, seconds=0.05))
    worker, deaths, started_at = fleet.start("a"), 0, time.monotonic()

    def answered_or_died() -> bool:
        return worker.code is not None or len(fleet.results) == len(fleet.submitted)

    fleet.until(answered_or_died, "the worker died")
    while worker.code is not None:
        deaths += 1
        assert deaths <= 8, "it kills its worker for ever"
        worker = fleet.start("a")
        fleet.until(answered_or_died, "the worker died or all is answered")
    print(f"deaths until it was given up: {deaths}")
    say("a task that kills its worker", time.monotonic() - started_at)
    result = next(r for r in fleet.results if r.task_id == deadly)
    assert (result.status, result.reason) == ("failed", "killed_worker")
    others = [r for r in fleet.results if r.task_id != deadly]
    assert [r.status for r in others] == ["succeeded"] * 100
    fleet.until(lambda: bool(fleet.dead), "the dead letter")
    assert [(letter.task_id, letter.reason) for letter in fleet.dead] == [(deadly, "killed_worker")]
    # Two owners may die without anybody being suspected, one of a group; alone it has its attempts.
    assert deaths == 3 + 1 + 2
    fleet.verify()
    quiet(worker)


def test_of_two_workers_in_one_slot_one_ends_and_the_other_goes_on(fleet: Fleet) -> None:
    fleet.apply()
    (older,) = start_all(fleet, "a")
    fleet.submit(works(300, seconds=0.2))
    busy(fleet, older, 50)
    newer = fleet.start("a")
    fleet.until(lambda: older.code is not None or newer.code is not None, "one of them ends")
    fleet.until_answered()
    loser, winner = (older, newer) if older.code is not None else (newer, older)
    assert loser.code == 5
    assert winner.code is None
    assert "another process uses slot" in loser.log
    assert "--slot" in loser.log
    assert fleet.answered_by(winner)
    fleet.verify()
    quiet(older)
    quiet(newer)


def test_a_handler_that_blocks_the_loop_is_named_while_heartbeats_go_on(fleet: Fleet) -> None:
    fleet.apply()
    (worker,) = start_all(fleet, "a")
    before = {p: left.epoch for p, left in fleet.maps().items()}
    fleet.submit([{"number": 0, "blocks": True, "seconds": OUTAGE_S}, *works(20, 1)])
    fleet.until_answered()
    line = next(
        n for n, text in enumerate(AGENTS.read_text().splitlines(), 1) if "time.sleep" in text
    )
    place = f"{AGENTS}:{line} in labour"
    blocked = [beat for beat in fleet.beats if beat.blocked_by]
    assert {beat.blocked_by for beat in blocked} == {place}
    assert len(blocked) >= 4, "heartbeats went on"
    assert worker.log.count("blocked for") == 1
    assert place in worker.log
    assert {p: left.epoch for p, left in fleet.maps().items()} == before, "nothing was fenced"
    fleet.verify()
    quiet(worker)


def test_a_drain_waits_for_running_tasks_and_a_second_signal_does_no_harm(fleet: Fleet) -> None:
    fleet.apply()
    (worker,) = start_all(fleet, "a")
    fleet.submit(works(40, seconds=2.0))
    fleet.until(lambda: len(fleet.diary()) == 20, "twenty tasks run")
    worker.signal(signal.SIGTERM)
    fleet.until(lambda: (b := fleet.beat(worker)) is not None and b.state == "draining", "drain")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGINT)
    assert worker.ended() == 0
    fleet.read()
    running = {e.number for e in fleet.diary()}
    assert Counter(e.event for e in fleet.diary()) == {"start": 20, "end": 20}
    assert {json.loads(r.output or b"")["number"] for r in fleet.results} == running
    assert all(left.released for left in fleet.maps().values())
    fleet.start("a")
    fleet.until_answered()
    fleet.verify()
    quiet(worker)
