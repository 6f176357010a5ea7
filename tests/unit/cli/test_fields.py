"""How one thing looks on a terminal: nothing escaped, nothing to be converted in one's head."""

from __future__ import annotations

from typing import Any

import click
import pytest

from streams.cli.fields import field_lines
from streams.inspect.show import fields_of
from streams.inspect.workers import Seen, worker_details
from streams.records import DeadLetter, ErrorReport, Heartbeat, PoolBeat


def lines(**fields: Any) -> list[str]:
    return [click.unstyle(line) for line in field_lines(fields)]


def test_what_a_field_holds_stands_indented_below_it() -> None:
    topic = {"topic": "t", "config": {"retention.ms": "-1"}}
    assert lines(**topic, bounds=[{"partition": 0, "end": 5}, {"partition": 1, "end": 7}]) == [
        "topic   t",
        "config",
        "  retention.ms  -1",
        "bounds",
        "  partition 0  end 5",
        "  partition 1  end 7",
    ]


def test_entries_are_blocks_if_one_is_long() -> None:
    found = lines(pools=[{"agent": "a" * 50, "group": "g" * 50}, {"agent": "b", "group": "c"}])
    assert found == [
        "pools",
        "  - agent  " + "a" * 50,
        "    group  " + "g" * 50,
        "  - agent  b",
        "    group  c",
    ]


def test_an_error_is_said_with_the_frames_below() -> None:
    report = ErrorReport("", "ValueError", 'no "x"', "give one", ["a.py:7 in f: x()", "b.py:1"])
    letter = DeadLetter("a", "permanent_error", "w", "tasks.a", 0, 1, 0, error=report)
    found = lines(error=fields_of(letter)["error"])
    assert found == [
        'error  ValueError: no "x"',
        "  a.py:7 in f: x()",
        "  b.py:1",
        "  hint: give one",
    ]


def test_the_time_of_an_original_is_a_time() -> None:
    letter = DeadLetter("a", "r", "w", "tasks.a", 0, 1, 0, source_timestamp=1_580_472_000_000_000)
    assert fields_of(letter)["source_timestamp"] == "2020-01-31T12:00:00.000Z"
    (line,) = lines(source_timestamp=fields_of(letter)["source_timestamp"])
    assert "2020-0" in line
    assert "Z" not in line


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("rss_bytes", 64 * 2**20, "rss  64.0 MiB"),
        ("cpu_micros", 1_250_000, "cpu  1.2 s"),
        ("cpu_permille", 125, "cpu  12.5 %"),
        ("commit_micros_p50", 12_000, "commit p50  12 ms"),
        ("timeout_ms", 30_000, "timeout  30.0 s"),
        ("retention_ms", -1, "retention ms  -1"),
        ("latency_bounds_micros", [1_000, 2_000_000], "latency bounds  1 ms, 2.0 s"),
        ("cost_micros", 1_500, "cost  0.001500"),
        ("timeout_ms", None, "timeout  -"),
        ("finished_per_second", 9.523809523809522, "finished per second  9.524"),
        ("blocked_by", None, "blocked by  -"),
        ("partial", False, "partial  false"),
        ("partitions", [0, 1], "partitions  0, 1"),
        ("input", {}, "input  -"),
    ],
)
def test_values_are_those_that_people_count_in(field: str, value: Any, line: str) -> None:
    assert lines(**{field: value}) == [line]


def test_what_users_wrote_is_shown_as_it_is() -> None:
    given = {"wait_ms": 5, "at": "2020-01-31T12:00:00.000Z", "none": None, "error": {"type": "x"}}
    assert lines(output=given) == [
        "output",
        "  wait_ms  5",
        "  at       2020-01-31T12:00:00.000Z",
        "  none     null",
        "  error",
        "    type  x",
    ]


def test_a_text_of_several_lines_stands_below_its_name() -> None:
    assert lines(output="one\ntwo") == ["output", "  one", "  two"]


def test_a_worker_with_its_pools_needs_no_reading_of_json() -> None:
    pool = PoolBeat("bill", "1", "pool.bill", partitions=[0, 1], latency_bounds_micros=[1_000] * 20)
    beat = Heartbeat("w", "w", "host", 7, "1", 3, 0, 0, "running", pools=[pool, pool])
    found = lines(**worker_details(Seen(beat, 500)))
    assert not [line for line in found if "{" in line or '"' in line]
    assert sum("bill" in line for line in found) == 4
