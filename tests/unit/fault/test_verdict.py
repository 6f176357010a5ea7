"""The fault lane's own rules: a sound storm passes, and each planted violation is found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from streams.records import Heartbeat, PoolBeat
from streams.verify.evidence import Ended, Evidence, Source
from tests.fault import verdict
from tests.fault.diary import Struck, longest_outside, total_outside, windows
from tests.fault.fault import Launch
from tests.fault.follow import Beat
from tests.fault.judge import set_right
from tests.fault.verdict import Partition, Poison
from tests.fault.workers import Life, Sample

TOPIC = "t.tasks.labour"
LOG = Path("worker.log")


def struck(since: float, until: float, **other: object) -> Struck:
    return Struck("kill", "a", since, until, **other)  # type: ignore[arg-type]


def evidence(
    runs: Iterable[tuple[float, float, float]], key: bytes = b"k", deadline: float = 10_000.0
) -> Evidence:
    """Tasks of partition 0: (appended, started, ended), in seconds."""
    found = Evidence()
    place = (TOPIC, 0)
    for offset, (appended, began, ended) in enumerate(runs):
        name = f"t{offset}"
        source = Source(place, offset, key, 0, name)
        source = source._replace(deadline=round(deadline * 1e6), appended_ms=round(appended * 1e3))
        found.sources.setdefault(place, {})[offset] = source
        found.tasks[name] = source
        begin, end = round(began * 1e6), round(ended * 1e6)
        found.results[name] = Ended(
            name, place, offset, 0, "succeeded", "", "labour", "1", 1, begin, end, 0, "", "",
            "a", round(ended * 1e3),
        )  # fmt: skip
    return found


def line(runs: Iterable[tuple[float, float, float]]) -> dict[int, Partition]:
    return verdict.timelines(evidence(runs), TOPIC)


def test_time_outside_of_windows() -> None:
    held = [(5.0, 7.0), (1.0, 2.0), (6.0, 8.0)]
    assert longest_outside((0.0, 10.0), held) == 3.0
    assert total_outside((0.0, 10.0), held) == 6.0
    assert longest_outside((5.5, 6.5), held) == total_outside((5.5, 6.5), held) == 0.0
    assert longest_outside((20.0, 21.0), held) == 1.0
    assert longest_outside((0.0, 10.0), [(2.0, float("inf"))]) == 2.0


def test_windows_of_what_hits_a_partition_or_reaches_brokers() -> None:
    diary = [
        struck(1, 2, partitions=(0, 3)),
        struck(3, 4, partitions=(5,)),
        struck(5, 6, reach="brokers"),
    ]
    assert windows(diary, partition=3) == [(1, 2), (5, 6)]
    assert windows(diary, reach="brokers") == [(5, 6)]


# -- I13 ------------------------------------------------------------------------------------


def test_a_partition_with_open_tasks_that_stands_still_is_found() -> None:
    runs = [(0, 0, 1), (1, 80, 81), (2, 81, 82)]
    (found,) = verdict.stalls(line(runs), [])
    assert (found.invariant, found.where) == ("I13", "partition 0 at 1.000")
    assert "80.0 s" in found.message


def test_a_partition_without_open_tasks_may_be_silent() -> None:
    assert not [*verdict.stalls(line([(0, 0, 1), (500, 500, 501)]), [])]


def test_a_fault_excuses_its_partitions_until_it_is_healed_and_a_minute_longer() -> None:
    lines = line([(0, 0, 1), (1, 100, 101)])
    assert not [*verdict.stalls(lines, [struck(10, 50, partitions=(0,))])]
    assert [*verdict.stalls(lines, [struck(10, 30, partitions=(0,))])]
    assert [*verdict.stalls(lines, [struck(10, 50, partitions=(1,))])]


def test_faults_that_follow_each_other_do_not_excuse_a_partition_for_ever() -> None:
    diary = [struck(at, at + 50) for at in range(10, 190, 52)]
    assert not [*verdict.stalls(line([(0, 0, 1), (1, 100, 101)]), diary)]
    (found,) = verdict.stalls(line([(0, 0, 1), (1, 200, 201)]), diary)
    assert "200.0 s" in found.message
    away = [replace(each, since="heal") for each in diary]
    assert not [*verdict.stalls(line([(0, 0, 1), (1, 200, 201)]), away)]


def test_an_attempt_that_outlasts_its_deadline_is_found() -> None:
    late = evidence([(0, 0, 30)], deadline=15)
    assert [found.where for found in verdict.overdue(late, [], [])] == ["t0"]
    assert [*verdict.overdue(late, [struck(14, 25)], [])], "a worker's death is no excuse"
    assert not [*verdict.overdue(late, [struck(14, 25, reach="brokers")], [])]
    assert not [*verdict.overdue(late, [], [Life("a", 7, 0.0, LOG, stops=[(14, 25)])])]
    assert not [*verdict.overdue(evidence([(0, 0, 30)], deadline=21), [], [])]
    waited = evidence([(0, 30, 31)], deadline=15)
    assert not [*verdict.overdue(waited, [], [])], "it expired before it began"


def life(code: int | None = None, **other: object) -> Life:
    ended = None if code is None else 100.0
    return Life("a", 7, 0.0, LOG, ended=ended, code=code, **other)  # type: ignore[arg-type]


def test_what_a_wrong_clock_wrote_is_set_right() -> None:
    world = evidence([(0, 3600, 3601), (1, 1, 2)])
    world.results["t1"] = world.results["t1"]._replace(worker_id="b")
    set_right(world, {"a": 3_600_000_000})
    assert (world.results["t0"].started_at, world.results["t0"].finished_at) == (0, 1_000_000)
    assert world.results["t1"].started_at == 1_000_000


# -- I14 ------------------------------------------------------------------------------------


def beside_a_poison(deaths: list[float], waits: float = 8.0) -> list[str]:
    world = evidence([(10, 10 + waits, 10.5 + waits), (30, 30, 31)])
    poison = Poison(0, b"poison", (9.0, 20.0))
    return [v.where for v in verdict.delayed(world, TOPIC, [poison], {0: deaths}, 5.0)]


def test_a_task_that_waits_beside_a_poison_of_another_key_is_found() -> None:
    assert beside_a_poison([]) == ["t0"]
    assert beside_a_poison([], waits=4.0) == []


def test_a_death_excuses_until_the_partition_is_run_again() -> None:
    assert beside_a_poison([12.0]) == [], "nothing ran from the death at 12 to 18"
    assert beside_a_poison([17.0]) == ["t0"]


def test_tasks_of_the_poisons_own_key_or_partition_elsewhere_are_not_judged() -> None:
    world = evidence([(10, 18, 18.5), (30, 30, 31)], key=b"poison")
    assert not [
        *verdict.delayed(world, TOPIC, [Poison(0, b"poison", (9, 20))], {}, 5.0),
        *verdict.delayed(world, TOPIC, [Poison(1, b"other", (9, 20))], {}, 5.0),
        *verdict.delayed(world, TOPIC, [Poison(0, b"other", (19, 20))], {}, 5.0),
    ]


# -- I16 ------------------------------------------------------------------------------------


def beats(*times: float, last: str = "running") -> list[Beat]:
    found = [
        Beat(7, "a", round(at * 1000), Heartbeat("a", "a", "h", 7, "1", n, 0, 0, "running"))
        for n, at in enumerate(times)
    ]
    found[-1].beat.state = last  # type: ignore[assignment]
    return found


def shown(life: Life, said: list[Beat], diary: Iterable[Struck] = (), until: float = 200) -> str:
    return " ".join(v.message for v in verdict.shown([life], said, [*diary], until))


SECONDS = [float(n) for n in range(1, 101)]


def test_a_worker_that_beats_until_it_dies_is_shown_as_it_is() -> None:
    assert shown(life(-9), beats(*SECONDS)) == ""
    assert shown(life(0), beats(*SECONDS, last="stopped")) == ""
    assert shown(life(), beats(*SECONDS), until=101) == ""


def test_a_dead_worker_that_is_shown_as_running_is_found() -> None:
    ghost = beats(*SECONDS, 106.0)
    assert "was dead for 11 s and shown as running" in shown(life(-9), ghost)
    assert shown(life(-9), ghost, until=110.0) == "", "it may take 11 s"
    assert shown(life(-9), ghost, [struck(101, 105, reach="brokers")]) == ""


def test_a_live_worker_that_is_shown_as_dead_is_found() -> None:
    gap = beats(*SECONDS[:50], *SECONDS[60:])
    assert "lived and was shown as dead for 5.0 s" in shown(life(-9), gap)
    assert shown(life(-9), gap, [struck(52, 54, reach="workers")]) != ""
    assert shown(life(-9), gap, [struck(52, 54, reach="brokers")]) == ""
    assert shown(life(-9, stops=[(50.0, 60.0)]), gap) == ""
    assert shown(life(-9), beats(*SECONDS[:50], *SECONDS[56:])) == "", "for two beats it may"


def test_a_process_with_the_number_of_an_earlier_one_is_another() -> None:
    earlier, later = life(-9), replace(life(), slot="b", started=140.0)
    same_slot = replace(life(), started=140.0)
    mine, more = beats(*SECONDS), beats(*(140.0 + n for n in range(1, 60)))
    others = [beat._replace(slot="b") for beat in more]
    for lives, said in (([earlier, later], mine + others), ([earlier, same_slot], mine + more)):
        assert not [*verdict.shown(lives, said, [], 200)]
    nameless = replace(life(-9), slot="extra-1", launch=Launch(anonymous=True))
    assert "shown as running" in shown(nameless, beats(*SECONDS, 106.0))
    (found,) = verdict.shown([same_slot], more[:40], [], 200)
    assert "shown as dead" in found.message


def test_a_live_worker_that_beats_no_more_is_found() -> None:
    assert "shown as dead" in shown(life(), beats(*SECONDS), until=120)


# -- I17 ------------------------------------------------------------------------------------

BEGUN = Sample(20.0, 70, 16, 7, 11, 43, 70 * 2**20)


def grown(at_rest: Sample, *, begun: Sample = BEGUN) -> list[str]:
    process = life(samples=[Sample(1.0, 3, 0, 1, 0, 0, 2**20), begun])
    found = verdict.grown([process], beats(5.0, 6.0), {7: at_rest}, brokers=1)
    return [violation.message for violation in found]


def test_what_a_process_holds_at_rest_is_compared_with_what_it_began_with() -> None:
    assert grown(replace_at(BEGUN, 120.0)) == []
    assert grown(replace_at(BEGUN, 120.0)._replace(files=80, connections=45)) == []
    assert "connections" in grown(replace_at(BEGUN, 120.0)._replace(connections=60))[0]
    assert "files" in grown(replace_at(BEGUN, 120.0)._replace(files=186))[0]
    assert "12 threads" in grown(replace_at(BEGUN, 120.0)._replace(threads=12))[0]
    assert "15 clients" in grown(replace_at(BEGUN, 120.0)._replace(clients=15))[0]
    assert "memory" in grown(replace_at(BEGUN, 120.0)._replace(rss_bytes=2**29))[0]


def test_threads_that_clients_have_for_brokers_come_and_go() -> None:
    more = replace_at(BEGUN, 120.0)._replace(client_threads=60, files=110)
    assert grown(more) == []
    assert "files" in grown(more._replace(files=121))[0]
    (found,) = grown(more._replace(client_threads=67))
    assert "67 threads of clients" in found


def replace_at(sample: Sample, at: float) -> Sample:
    return sample._replace(at=at)


def test_a_process_has_all_that_it_needs_once_its_pools_have_partitions() -> None:
    early, later = replace_at(BEGUN, 16.0)._replace(clients=7), replace_at(BEGUN, 40.0)
    process, rest = life(samples=[early, later]), {7: replace_at(BEGUN, 120.0)}
    waiting, working = beats(5.0), beats(20.0)
    waiting[0].beat.pools = [PoolBeat("labour", "1", "pool.labour")]
    working[0].beat.pools = [PoolBeat("labour", "1", "pool.labour", partitions=[0])]
    assert list(verdict.grown([process], [*waiting, *working], rest, brokers=1)) == []
    (found,) = verdict.grown([process], [*beats(5.0), *working], rest, brokers=1)
    assert "11 clients" in found.message


def test_a_process_that_has_just_begun_is_not_judged() -> None:
    assert grown(replace_at(BEGUN, 30.0)._replace(files=186)) == []
    assert grown(replace_at(BEGUN, 40.0)._replace(files=186), begun=replace_at(BEGUN, 12.0)) == []


def test_a_file_that_is_left_is_found() -> None:
    (found,) = verdict.left_behind(["homes/a/core"])
    assert (found.invariant, found.where) == ("I17", "homes/a/core")


# -- recovery -------------------------------------------------------------------------------


def test_recovery_counts_from_the_strike_or_the_heal_over_all_that_was_hit() -> None:
    lines = {
        0: line([(0, 0, 9), (0, 12, 13), (0, 14, 15)])[0],
        1: line([(0, 0, 9.5), (0, 16, 17), (0, 17, 18)])[0],
        2: line([(0, 0, 1), (50, 50, 51)])[0],
    }
    fault = struck(10, 11, partitions=(0, 1))
    felt = verdict.recovery(fault, lines)
    assert felt.back_s == pytest.approx(7.0)
    assert felt.pause_s == pytest.approx(7.0)
    healed = verdict.recovery(replace(fault, since="heal"), lines)
    assert healed.back_s == pytest.approx(6.0)
    assert verdict.recovery(replace(fault, partitions=(9,)), lines) == verdict.Recovery(None, None)


def test_idle_time_is_no_pause() -> None:
    lines = line([(0, 0, 9), (30, 30, 31), (31, 32, 33)])
    felt = verdict.recovery(struck(10, 32), lines)
    assert felt.pause_s == pytest.approx(2.0)
