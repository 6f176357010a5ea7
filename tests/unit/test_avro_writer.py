"""The compiled writers at the edges of what they write; test_avro.py compares any records."""

from __future__ import annotations

import json
from dataclasses import asdict
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from streams import avro
from streams.avro_writer import compile_writer
from streams.records import Cost, Result, Task
from streams.resources import data_folder

RESULT = Result[bytes]("t", "r", "a", "1", "w", 1, "succeeded", 1, 2, 3, "s", 0, 0, output=b"{}")


def schema_of(kind: type) -> dict[str, Any]:
    return json.loads((data_folder("schemas") / f"{kind.__name__}.avsc").read_text())


def by_fastavro(record: Any) -> bytes:
    body = BytesIO()
    schemaless_writer(body, parse_schema(schema_of(type(record))), asdict(record))
    return body.getvalue()


def cost(units: int) -> Cost:
    return Cost("c", "t", "r", "a", "w", 1, "tool", "x", units, 0, 0)


@pytest.mark.parametrize("bits", range(64))
def test_integers_of_each_length_are_those_of_fastavro(bits: int) -> None:
    edges = (1 << bits, (1 << bits) - 1, -(1 << bits), -(1 << bits) - 1)
    for units in edges:
        if -(1 << 63) <= units < 1 << 63:
            assert avro.encode(cost(units))[10:] == by_fastavro(cost(units))


@pytest.mark.parametrize("units", [1 << 63, -(1 << 63) - 1, 1 << 64, -(1 << 64), 1 << 200])
def test_an_integer_beyond_64_bits_is_refused(units: int) -> None:
    with pytest.raises(OverflowError, match="too large"):
        avro.encode(cost(units))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8_191, 8_192, 1 << 20])
def test_texts_and_bytes_of_each_length_are_those_of_fastavro(length: int) -> None:
    text = "\u00e9" * (length // 2) + "x" * (length % 2)
    task = Task("t", "r", text, 1, 2, b"x" * length, parent_task_id=text, key=text)
    assert avro.encode(task)[10:] == by_fastavro(task)


@pytest.mark.parametrize(
    "wrong",
    [
        Task(b"t", "r", "a", 1, 2, b""),  # type: ignore[arg-type]
        Task("t", None, "a", 1, 2, b""),  # type: ignore[arg-type]
        Task("t", "r", "a", "1", 2, b""),  # type: ignore[arg-type]
        Task("t", "r", "a", 1.5, 2, b""),  # type: ignore[arg-type]
        Task("t", "r", "a", 1, None, b""),  # type: ignore[arg-type]
        Task("t", "r", "a", 1, 2, "input"),  # type: ignore[arg-type]
        Task("t", "r", "a", 1, 2, b"", key=b"k"),  # type: ignore[arg-type]
        Task("t", "r", "a", 1, 2, b"", key=1),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_a_field_of_a_wrong_type_is_a_programmers_error(wrong: Task) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        avro.encode(wrong)


@pytest.mark.parametrize(
    "kind",
    ["double", ["string", "null"], ["null", "int", "string"], {"type": "array", "items": "int"}],
    ids=str,
)
def test_a_schema_that_it_could_never_write_has_no_such_writer(kind: object) -> None:
    assert compile_writer({"fields": [{"name": "x", "type": kind}]}, b"") is None


@pytest.mark.parametrize("record", [Task("t", "r", "a", 1, 2, b""), RESULT, cost(1)], ids=repr)
def test_the_records_of_the_task_path_are_written_by_it(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = by_fastavro(record)
    monkeypatch.delattr(avro, "schemaless_writer")
    assert avro.encode(record)[10:] == expected
