"""Records as JSON values that people and programs can read."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any, cast

from streams.avro import decode, kind_of
from streams.catalog import Catalog
from streams.errors import RecordUndecodable, SchemaUnknown
from streams.inspect.places import iso
from streams.ports import Record

_TIMES = frozenset(
    {
        "at",
        "deadline",
        "finished_at",
        "published_at",
        "source_timestamp",
        "started_at",
        "submitted_at",
    }
)
_JSON = frozenset({"input", "output", "input_schema", "output_schema"})


class Decoder:
    """Decodes any record of a deployment; reads ``schemas`` when one of another version comes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def decode(self, data: bytes) -> object:
        """The record in the bytes; RecordUndecodable if there is none."""
        kind: type[object] | None = kind_of(data)
        if kind is None:
            # Either no record of ours, or one of a version that must be read first.
            self._catalog.learn_schemas()
            kind = kind_of(data)
        if kind is None:
            raise RecordUndecodable("these bytes are no record of this package")
        try:
            found = decode(data, kind)
        except SchemaUnknown:
            self._catalog.learn_schemas()
            found = decode(data, kind)
        return found

    def record(self, record: Record) -> dict[str, Any]:
        """A record with its place, its key and its value decoded."""
        kind, value = self.value(record.value())
        return {
            "topic": record.topic(),
            "partition": record.partition(),
            "offset": record.offset(),
            "time": iso(record.timestamp()[1] * 1000),
            "key": raw(record.key()),
            "kind": kind,
            "value": value,
        }

    def value(self, data: bytes | None) -> tuple[str, Any]:
        """(kind, value): a record of ours as its fields, JSON as JSON, the rest as text."""
        if data is None:
            return "null", None
        if data[:1] == b"\xc3":
            try:
                found = self.decode(data)
            except RecordUndecodable:
                return "bytes", raw(data)
            return type(found).__name__, fields_of(found)
        try:
            return "json", json.loads(data)
        except ValueError:
            return "bytes", raw(data)


def fields_of(record: object) -> dict[str, Any]:
    """The fields of one of our records, with times as text and payloads as JSON."""
    return {name: _readable(name, value) for name, value in asdict(cast(Any, record)).items()}


def raw(data: bytes | None) -> str | None:
    """Bytes as text; in base64, marked so, where they are none."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def _readable(name: str, value: Any) -> Any:
    if name in _TIMES and isinstance(value, int):
        return iso(value)
    if name in _JSON and isinstance(value, (bytes, str)):
        try:
            return json.loads(value)
        except ValueError:
            return raw(value) if isinstance(value, bytes) else value
    if isinstance(value, bytes):
        return raw(value)
    if isinstance(value, list):
        return [_readable("", item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(key): _readable(str(key), item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    return value
