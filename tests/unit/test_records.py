"""The classes in records.py are the schemas in schemas/: same fields, same order, same defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any, get_args, get_type_hints

import pytest

from streams import records
from streams.resources import data_folder

PLAIN = {"string": str, "int": int, "long": int, "bytes": bytes, "boolean": bool, "double": float}
KINDS = [
    records.Task,
    records.Result,
    records.Cost,
    records.Heartbeat,
    records.DeadLetter,
    records.AgentCard,
]


def schema_of(kind: type) -> dict[str, Any]:
    return json.loads((data_folder("schemas") / f"{kind.__name__}.avsc").read_text())


def records_in(schema: Any) -> Iterator[dict[str, Any]]:
    """The record schemas in a schema, outermost first."""
    if isinstance(schema, list):
        for branch in schema:
            yield from records_in(branch)
    elif isinstance(schema, dict):
        if schema["type"] == "record":
            yield schema
            for field in schema["fields"]:
                yield from records_in(field["type"])
        yield from records_in(schema.get("items"))


EVERY_RECORD = [
    pytest.param(record, id=f"{kind.__name__}-{record['name']}")
    for kind in KINDS
    for record in records_in(schema_of(kind))
]


def python_type(schema: Any) -> Any:
    if isinstance(schema, list):
        assert schema[0] == "null", "a union is a value or null, null first"
        return python_type(schema[1]) | None
    if isinstance(schema, str):
        return PLAIN[schema]
    if schema["type"] == "array":
        return list[python_type(schema["items"])]
    if schema["type"] == "record":
        return getattr(records, schema["name"])
    return PLAIN[schema["type"]]


def default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def test_there_is_a_class_for_every_schema_file() -> None:
    files = {path.stem for path in data_folder("schemas").glob("*.avsc")}
    assert files == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("schema", EVERY_RECORD)
def test_fields_and_defaults_are_those_of_the_schema(schema: dict[str, Any]) -> None:
    ours = {field.name: default_of(field) for field in fields(getattr(records, schema["name"]))}
    theirs = {field["name"]: field.get("default", MISSING) for field in schema["fields"]}
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize("schema", EVERY_RECORD)
def test_types_are_those_of_the_schema(schema: dict[str, Any]) -> None:
    hints = get_type_hints(getattr(records, schema["name"]))
    for field in schema["fields"]:
        hint, wanted = hints[field["name"]], python_type(field["type"])
        if (schema["name"], field["name"]) == ("Result", "output"):
            wanted = records.Out | None  # generic in Python, JSON in the log
        if wanted is str and get_args(hint):
            assert all(isinstance(word, str) for word in get_args(hint)), field["name"]
            assert all(word in field["doc"] for word in get_args(hint)), field["name"]
        else:
            assert hint == wanted, field["name"]


@pytest.mark.parametrize("schema", EVERY_RECORD)
def test_every_field_is_documented_with_its_unit(schema: dict[str, Any]) -> None:
    assert schema["doc"]
    for field in schema["fields"]:
        doc = field["doc"]
        assert doc.endswith("."), field["name"]
        name = field["name"]
        # Both ways: with another logical type readers would be off by a factor of a thousand.
        is_time = "timestamp-micros" in json.dumps(field["type"])
        assert is_time == ("microseconds since the epoch" in doc), name
        assert is_time or "logicalType" not in json.dumps(field["type"]), name
        for suffix, unit in (("_ms", "milliseconds"), ("_bytes", "bytes")):
            assert not name.endswith(suffix) or unit in doc, name
        if name.endswith("_micros"):
            assert "microseconds" in doc or "millionths" in doc, name
