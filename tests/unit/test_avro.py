"""Records as bytes: round trips, other versions, and bytes that are no record."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import avro, records
from streams.errors import RecordUndecodable, SchemaUnknown
from streams.records import (
    AgentCard,
    Cost,
    DeadLetter,
    ErrorReport,
    Header,
    Heartbeat,
    PoolBeat,
    Result,
    Task,
)
from streams.resources import data_folder

KINDS: list[type] = [Task, Result, Cost, Heartbeat, DeadLetter, AgentCard]

TASK = Task(
    task_id="t-1",
    run_id="r-1",
    agent="answer",
    submitted_at=1_790_000_000_000_000,
    deadline=1_790_086_400_000_000,
    input=b'{"text":"why?"}',
    key="topic-7",
)
DEAD = DeadLetter(
    agent="answer",
    reason="undecodable",
    worker_id="w-1",
    source_topic="tasks.answer",
    source_partition=3,
    source_offset=99,
    at=1_790_000_000_000_000,
    error=ErrorReport("E0701", "streams.errors.RecordUndecodable", "?", frames=["a.py:1", "b"]),
    key=b"\xff\x00",
    value=b"\xff",
    headers=[Header("trace", b"\x00\x01"), Header("trace", None), Header("", b"")],
)
BEAT = Heartbeat(
    worker_id="w-1",
    slot="1",
    host="h",
    pid=42,
    version="0.1.0",
    sequence=7,
    started_at=1,
    at=2,
    state="running",
    pools=[
        PoolBeat("answer", "1", "pool.answer", partitions=[0, 5], finished_per_second=0.1),
        PoolBeat("other", "2", "pool.other", latency_bounds_micros=[10], latency_counts=[0, 3]),
    ],
)


def schema_of(kind: type) -> dict[str, Any]:
    return json.loads((data_folder("schemas") / f"{kind.__name__}.avsc").read_text())


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "bytes": st.binary(max_size=200),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "long": st.integers(-(1 << 63), (1 << 63) - 1),
    "boolean": st.booleans(),
    "double": st.floats(allow_nan=False),
}


def values_of(schema: Any) -> st.SearchStrategy[Any]:
    if isinstance(schema, list):
        return st.none() | values_of(schema[1])
    if isinstance(schema, str):
        return PLAIN[schema]
    if schema["type"] == "array":
        return st.lists(values_of(schema["items"]), max_size=4)
    if schema["type"] == "record":
        fields = {field["name"]: values_of(field["type"]) for field in schema["fields"]}
        return st.builds(getattr(records, schema["name"]), **fields)
    return PLAIN[schema["type"]]


ANY_RECORD = st.one_of([values_of(schema_of(kind)) for kind in KINDS])


def written_as(schema: dict[str, Any], values: dict[str, Any]) -> bytes:
    """A record written by fastavro with another version of a schema, after learning that."""
    body = BytesIO()
    schemaless_writer(body, parse_schema(json.loads(json.dumps(schema))), values)
    return b"\xc3\x01" + bytes.fromhex(avro.learn(json.dumps(schema))) + body.getvalue()


def changed(kind: type, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    schema = schema_of(kind)
    change(schema)
    return schema


# Round trips


@given(ANY_RECORD)
def test_what_was_encoded_is_decoded_equal(record: Any) -> None:
    data = avro.encode(record)
    assert avro.decode(data, type(record)) == record
    assert avro.kind_of(data) is type(record)


@given(ANY_RECORD)
def test_the_body_is_byte_for_byte_what_fastavro_writes(record: Any) -> None:
    schema = schema_of(type(record))
    body = BytesIO()
    schemaless_writer(body, parse_schema(schema), asdict(record))
    assert avro.encode(record)[10:] == body.getvalue()


def test_timestamps_stay_integers() -> None:
    again = avro.decode(avro.encode(TASK), Task)
    assert again.deadline == 1_790_086_400_000_000
    assert type(again.deadline) is int


def test_a_lone_surrogate_becomes_its_escape_wherever_it_stands() -> None:
    dead = DeadLetter("a", "failed", "w", "t", 0, 0, 0, value=b"\xff")
    dead.error = ErrorReport(message="bad \udcff name", frames=["caf\u00e9 \ud800"])
    again = avro.decode(avro.encode(dead), DeadLetter)
    assert again.error == ErrorReport(message="bad \\udcff name", frames=["caf\u00e9 \\ud800"])
    assert again.value == b"\xff"
    assert dead.error.message == "bad \udcff name"


# The format


def crc_64_avro(data: bytes) -> int:
    """The bit by bit definition of the fingerprint in the Avro specification."""
    empty = 0xC15D213AA4D7A795
    value = empty
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (empty if value & 1 else 0)
    return value


def canonical(schema: Any, space: str = "") -> str:
    """Parsing Canonical Form, for what our schemas use."""
    if isinstance(schema, str):
        return json.dumps(schema)
    if isinstance(schema, list):
        return f"[{','.join(canonical(branch, space) for branch in schema)}]"
    if schema["type"] == "array":
        return f'{{"type":"array","items":{canonical(schema["items"], space)}}}'
    if schema["type"] != "record":
        return canonical(schema["type"])
    space = schema.get("namespace", space)
    fields = ",".join(
        f'{{"name":"{field["name"]}","type":{canonical(field["type"], space)}}}'
        for field in schema["fields"]
    )
    return f'{{"name":"{space}.{schema["name"]}","type":"record","fields":[{fields}]}}'


def test_the_fingerprint_function_here_agrees_with_a_published_value() -> None:
    # Avro's own test data (share/test/data/schema-tests.txt): the schema "null".
    assert crc_64_avro(b'"null"') == 7195948357588979594


@pytest.mark.parametrize("kind", KINDS)
def test_the_prefix_is_marker_and_little_endian_fingerprint(kind: type) -> None:
    prints = {json.loads(text)["name"]: print_ for print_, text in avro.own_schemas().items()}
    wanted = crc_64_avro(canonical(schema_of(kind)).encode()).to_bytes(8, "little")
    assert prints[kind.__name__] == wanted.hex()


def test_a_record_starts_with_the_marker_and_its_published_fingerprint() -> None:
    data = avro.encode(TASK)
    assert data[:2] == b"\xc3\x01"
    assert json.loads(avro.own_schemas()[data[2:10].hex()])["name"] == "Task"


def test_published_schemas_keep_their_docs_units_and_defaults() -> None:
    published = {json.loads(text)["name"]: json.loads(text) for text in avro.own_schemas().values()}
    assert published == {kind.__name__: schema_of(kind) for kind in KINDS}


# Other versions


def test_an_unknown_fingerprint_is_named_so_that_it_can_be_looked_up() -> None:
    data = b"\xc3\x01" + b"\x01\x23\x45\x67\x89\xab\xcd\xef" + b"body"
    with pytest.raises(SchemaUnknown) as caught:
        avro.decode(data, Task)
    assert caught.value.fingerprint == "0123456789abcdef"
    assert isinstance(caught.value, RecordUndecodable)
    assert avro.kind_of(data) is None


def test_a_newer_writer_with_more_and_fewer_fields_is_understood_once_learned() -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["fields"] = [f for f in schema["fields"] if f["name"] not in ("tenant", "priority")]
        schema["fields"].insert(0, {"name": "colour", "type": "string", "default": "red"})

    values = {"colour": "blue"} | asdict(TASK)
    data = written_as(changed(Task, change), values)
    assert avro.decode(data, Task) == TASK
    assert avro.kind_of(data) is Task


def test_fields_in_another_order_end_in_their_own_places() -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["fields"].reverse()
        error = next(field for field in schema["fields"] if field["name"] == "error")
        error["type"][1]["fields"].reverse()

    assert avro.decode(written_as(changed(DeadLetter, change), asdict(DEAD)), DeadLetter) == DEAD


def test_defaults_of_two_records_are_not_one_list() -> None:
    def change(schema: dict[str, Any]) -> None:
        pool = schema["fields"][-1]["type"]["items"]
        pool["fields"] = [field for field in pool["fields"] if field["name"] != "paused"]

    data = written_as(changed(Heartbeat, change), asdict(BEAT))
    avro.decode(data, Heartbeat).pools[0].paused.append(7)
    assert avro.decode(data, Heartbeat) == BEAT


def test_a_version_that_cannot_be_resolved_is_undecodable() -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["fields"] = [field for field in schema["fields"] if field["name"] != "task_id"]

    with pytest.raises(RecordUndecodable, match="not a readable Task"):
        avro.decode(written_as(changed(Task, change), asdict(TASK)), Task)


def test_learning_computes_the_fingerprint_anew() -> None:
    text = avro.own_schemas()
    assert [avro.learn(schema) for schema in text.values()] == list(text)


def test_a_record_that_this_version_does_not_know_is_learned_but_is_none_of_ours() -> None:
    schema = {"type": "record", "name": "Step", "namespace": "agentstreams", "fields": []}
    data = b"\xc3\x01" + bytes.fromhex(avro.learn(json.dumps(schema)))
    with pytest.raises(RecordUndecodable, match="a Step, not a Task") as caught:
        avro.decode(data, Task)
    assert not isinstance(caught.value, SchemaUnknown)
    assert avro.kind_of(data) is None


def task_with(field: Any) -> str:
    def change(schema: dict[str, Any]) -> None:
        schema["fields"].append({"name": "more", "type": field})

    return json.dumps(changed(Task, change))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="not JSON"),
        pytest.param("[" * 100_000, id="deep JSON"),
        pytest.param('"Nothing"', id="unknown name"),
        pytest.param('{"type": "record"}', id="no name"),
        pytest.param("12", id="number"),
        pytest.param(task_with({"type": "array", "items": "null"}), id="items of no bytes"),
        pytest.param(
            task_with({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}),
            id="empty records",
        ),
        pytest.param(task_with(["null", "Task"]), id="contains itself"),
        pytest.param(task_with({"type": "map", "values": "agentstreams.Task"}), id="map of itself"),
    ],
)
def test_what_is_no_bounded_schema_is_not_learned(text: str) -> None:
    with pytest.raises(RecordUndecodable, match="schema that was published"):
        avro.learn(text)


def test_unbounded_many_writers_do_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro, "LEARNED_MAX", 2)
    prints = [avro.learn(task_with({"type": "fixed", "name": "F", "size": n})) for n in (1, 2, 3)]

    def known(fingerprint: str) -> bool:
        return avro.kind_of(b"\xc3\x01" + bytes.fromhex(fingerprint)) is Task

    assert [known(fingerprint) for fingerprint in prints] == [False, True, True]


# Bytes that are no record


@pytest.mark.parametrize("cut", range(len(avro.encode(TASK))))
def test_a_truncated_record_is_undecodable(cut: int) -> None:
    with pytest.raises(RecordUndecodable) as caught:
        avro.decode(avro.encode(TASK)[:cut], Task)
    assert not isinstance(caught.value, SchemaUnknown)


def test_bytes_after_the_record_are_refused() -> None:
    with pytest.raises(RecordUndecodable, match="1 bytes follow the Task"):
        avro.decode(avro.encode(TASK) + b"\0", Task)


def test_another_kind_of_record_is_refused() -> None:
    with pytest.raises(RecordUndecodable, match="a DeadLetter, not a Task") as caught:
        avro.decode(avro.encode(DEAD), Task)
    assert not isinstance(caught.value, SchemaUnknown)


def varint(number: int) -> bytes:
    rest, out = number << 1 ^ number >> 63, bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])


@pytest.mark.parametrize("length", [1 << 40, (1 << 62) - 1, -1, -5, -(1 << 62)])
def test_a_crafted_length_neither_allocates_nor_passes(length: int) -> None:
    task = avro.encode(TASK)
    with pytest.raises(RecordUndecodable):
        avro.decode(task[:10] + varint(length) + task[11:], Task)
    beat = avro.encode(BEAT)
    pools = beat.index(b"\x0canswer") - 1
    with pytest.raises(RecordUndecodable):
        avro.decode(beat[:pools] + varint(length) + beat[pools + 1 :], Heartbeat)


def decodes_or_refuses(data: bytes) -> None:
    for kind in KINDS:
        try:
            assert isinstance(avro.decode(data, kind), kind)
        except RecordUndecodable:
            continue


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise_anything_else(data: bytes) -> None:
    decodes_or_refuses(data)


@given(st.sampled_from([TASK, DEAD, BEAT]), st.binary(max_size=300))
def test_an_arbitrary_body_never_raises_anything_else(record: Any, body: bytes) -> None:
    decodes_or_refuses(avro.encode(record)[:10] + body)


@settings(max_examples=200)
@given(ANY_RECORD, st.randoms(use_true_random=False), st.integers(1, 4))
def test_mutated_records_never_raise_anything_else(
    record: Any, chance: random.Random, changes: int
) -> None:
    data = bytearray(avro.encode(record))
    for _ in range(changes):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at:at] = chance.randbytes(chance.randrange(12))
            case _:
                del data[at : at + chance.randrange(12)]
        if not data:
            break
    decodes_or_refuses(bytes(data))


@given(values_of(schema_of(Result)))
def test_the_first_text_of_a_record_is_had_without_the_rest(result: Any) -> None:
    whole, length = avro.encode(result), len(result.task_id.encode())
    expected = result.task_id if length < 64 else None
    assert avro.first_text(whole, Result) == expected
    assert avro.first_text(whole[: 11 + length], Result) == expected
    assert avro.first_text(whole, Task) is None
    assert avro.first_text(whole[:10], Result) is None
