"""Places in a topic and spans of time, as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams.clock import SystemClock
from streams.errors import UsageError
from streams.inspect.places import Place, duration, iso, offsets_of, parse_place, since_ms
from streams.ports import TopicSpec
from streams.testing.memory import MemoryLog

NOW = 1_700_000_000_000_000
NOW_MS = NOW // 1000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("start", Place("start")),
        ("end", Place("end")),
        ("@17", Place("offset", 17)),
        ("-10m", Place("time", NOW_MS - 600_000)),
        ("-1h30m", Place("time", NOW_MS - 5_400_000)),
        ("2023-11-14T22:13:20Z", Place("time", NOW_MS)),
        ("2023-11-14T23:13:20+01:00", Place("time", NOW_MS)),
    ],
)
def test_a_place_is_read(text: str, place: Place) -> None:
    assert parse_place(text, NOW) == place


@pytest.mark.parametrize("text", ["", "10m", "@", "@-1", "-10", "-m", "yesterday", "@1x", "-10mm"])
def test_what_is_no_place_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_place(text, NOW)
    assert "@1234" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [("1h", 3_600_000), ("-1h", 3_600_000), ("2d", 172_800_000), ("1w", 604_800_000)],
)
def test_a_span_is_a_time_before_now(text: str, ago_ms: int) -> None:
    assert since_ms(text, NOW) == NOW_MS - ago_ms


def test_a_time_without_a_zone_is_the_local_one() -> None:
    local = datetime(2023, 11, 14, 12, 0)
    assert since_ms("2023-11-14T12:00", NOW) == round(local.timestamp() * 1000)


def test_a_span_before_the_epoch_is_its_beginning() -> None:
    assert since_ms("5000w", NOW) == 0


def test_what_is_no_span_is_refused() -> None:
    with pytest.raises(UsageError):
        since_ms("soon", NOW)


def test_an_offset_stays_within_the_log() -> None:
    log = MemoryLog(SystemClock())
    log.admin().create_topics([TopicSpec("t", 2)])
    producer = log.producer()
    for _ in range(3):
        producer.produce("t", 0, b"k", b"v")
    producer.flush(1.0)
    assert offsets_of(Place("offset", 2), log.admin(), "t", [0, 1]) == {0: 2, 1: 0}
    assert offsets_of(Place("offset", 99), log.admin(), "t", [0, 1]) == {0: 3, 1: 0}


def test_times_are_shown_in_utc_and_never_fail() -> None:
    assert iso(NOW) == "2023-11-14T22:13:20.000Z"
    assert datetime.fromisoformat(iso(NOW + 1_999)) == datetime.fromtimestamp(
        (NOW_MS + 1) / 1000, UTC
    )
    assert iso(10**18) == str(10**18)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (340, "340 µs"),
        (12_900, "12 ms"),
        (1_250_000, "1.2 s"),
        (180_000_000, "3 min"),
        (9_000_000_000, "2.5 h"),
        (259_200_000_000, "3 d"),
        (-5, "0 µs"),
    ],
)
def test_durations(micros: int, text: str) -> None:
    assert duration(micros) == text
