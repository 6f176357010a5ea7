"""Headers that the Kafka client can write and not read, on a real broker."""

from __future__ import annotations

import asyncio
import ctypes

import pytest
from confluent_kafka import cimpl

from streams import Context, Retry, agent
from streams.avro import decode, encode
from streams.catalog import read_all
from streams.records import DeadLetter, Task
from streams.testing import Fleet
from streams.topics import DAY_MS
from streams.verify import check

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NAME = b"\xff"
"""Not UTF-8: Python's client takes no such name, those of other languages do."""
MANY = 50
"""CPython calls what was called often in another way."""
PRODUCER = 0
TOPIC, PARTITION, VALUE, KEY, HEADER = 1, 3, 4, 5, 9
"""librdkafka's ``rd_kafka_vtype_t``: what an argument of ``rd_kafka_produceva`` is."""


class Bytes(ctypes.Structure):
    _fields_ = [("start", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("start", ctypes.c_char_p),
        ("size", ctypes.c_ssize_t),
    ]


class Union(ctypes.Union):
    _fields_ = [
        ("text", ctypes.c_char_p),
        ("number", ctypes.c_int32),
        ("bytes", Bytes),
        ("header", Header),
        ("padding", ctypes.c_char * 64),
    ]


class Argument(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("value", Union)]


def write(bootstrap: str, topic: str, partition: int, values: list[bytes]) -> None:
    """Write records whose one header has NAME for its name, with the client's C library."""
    # Its functions are found through the module that is linked with it, wherever that keeps it.
    library = ctypes.CDLL(cimpl.__file__)
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_produceva.restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    for setting in ((b"bootstrap.servers", bootstrap.encode()), (b"linger.ms", b"100")):
        assert library.rd_kafka_conf_set(conf, *setting, None, 0) == 0
    client = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, conf, None, 0))
    assert client
    for value in values:
        arguments = (Argument * 5)(
            Argument(TOPIC, Union(text=topic.encode())),
            Argument(PARTITION, Union(number=partition)),
            Argument(KEY, Union(bytes=Bytes(b"k", 1))),
            Argument(VALUE, Union(bytes=Bytes(value, len(value)))),
            Argument(HEADER, Union(header=Header(NAME, b"x", 1))),
        )
        assert library.rd_kafka_produceva(client, arguments, ctypes.c_size_t(5)) is None
    assert library.rd_kafka_flush(client, 30_000) == 0
    library.rd_kafka_destroy(client)


@agent(retry=Retry(attempts=2, delay=0.1))
async def picky(ctx: Context, text: str) -> str:
    if text == "bad":
        raise ValueError(text)
    return text


@pytest.mark.parametrize("traced", ["1", ""])
def test_a_header_whose_name_is_not_utf_8_stops_nothing(
    kafka: str, traced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client fails at it, and what it says when it is asked again ends the process."""
    monkeypatch.setenv("STREAMS_TRACE", traced)
    fleet = Fleet(picky, kafka=kafka)

    def task(task_id: str, text: str) -> bytes:
        now = fleet.clock.now_micros()
        until = now + DAY_MS * 1000
        return encode(Task(task_id, "run", "picky", now, until, f'"{text}"'.encode()))

    async def run() -> None:
        async with fleet as client:
            bad = await client.handle(picky, "0")
            good = await client.handle(picky, "1")
            values = [b"no task"] * MANY + [task("0", "bad"), task("1", "good")]
            await asyncio.to_thread(write, kafka, fleet.topics.tasks("picky"), 0, values)
            assert (await bad.record(60)).reason == "attempts_exhausted"
            assert await good.result(60) == "good"
            assert await client.ask(picky, "after") == "after"
            dead = fleet.topics.dead("picky")
            found = read_all(fleet.log, dead, [0], fleet.clock)
            letters = [decode(record.value() or b"", DeadLetter) for record in found]
            assert sorted(letter.value or b"" for letter in letters) == sorted(values[:-1])
            assert not any(letter.headers for letter in letters)
            report = check(fleet.log, fleet.topics, pools=["picky"])
            assert report.ok, report.text()

    asyncio.run(run())
