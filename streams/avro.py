"""Records as bytes: Avro single-object encoding of the classes in ``records.py``.

The bytes are the marker C3 01, the CRC-64-AVRO fingerprint of the writer's schema (little
endian, over its Parsing Canonical Form) and the Avro body (Apache Avro specification, "Single
object encoding"). A fingerprint in text is those eight bytes in wire order, as hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from io import BytesIO
from operator import attrgetter
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

from fastavro import (
    schemaless_reader,  # pyright: ignore[reportUnknownVariableType]
    schemaless_writer,  # pyright: ignore[reportUnknownVariableType]
)
from fastavro.schema import fingerprint, fullname, parse_schema, to_parsing_canonical_form

from streams.errors import RecordUndecodable, SchemaUnknown
from streams.records import (
    AgentCard,
    AnyRecord,
    Cost,
    DeadLetter,
    ErrorReport,
    Header,
    Heartbeat,
    PoolBeat,
    Result,
    Task,
    TopicCard,
)
from streams.resources import data_folder

R = TypeVar("R")
Json = Any
Dict = dict[str, Any]

NAMESPACE = "agentstreams"
LEARNED_MAX = 1_000
"""Writers' schemas kept; the oldest is forgotten first (and read again when it is met)."""

_MARKER = b"\xc3\x01"
_PREFIX_BYTES = 10
_KINDS: tuple[type, ...] = (Task, Result, Cost, Heartbeat, DeadLetter, AgentCard)
_PARTS: tuple[type, ...] = (ErrorReport, PoolBeat, Header, TopicCard)
_CLASSES: dict[str, type[Any]] = {kind.__name__: kind for kind in _KINDS + _PARTS}


class _Codec(NamedTuple):
    """What is prepared once per class."""

    name: str
    text: str
    schema: Json
    prefix: bytes
    to_dict: Callable[[Any], Dict]
    from_dict: Callable[[Dict], Any]


class _Learned(NamedTuple):
    """Another version of a record's schema; ``schema`` is None for a record not ours."""

    name: str
    schema: Json | None


def encode(record: AnyRecord | Result[Any]) -> bytes:
    """The record's bytes.

    A lone surrogate in a string, which UTF-8 cannot hold, becomes its escape. Raises TypeError,
    ValueError or OverflowError for a field of the wrong type or beyond 64 bits.
    """
    codec = _CODECS[type(record)]
    body = BytesIO()
    values = codec.to_dict(record)
    try:
        schemaless_writer(body, codec.schema, values)
    except UnicodeEncodeError:
        # An exception's message may hold anything; it must not stop the pool that reports it.
        body = BytesIO()
        schemaless_writer(body, codec.schema, _escaped(values))
    return codec.prefix + body.getvalue()


def decode(data: bytes, kind: type[R]) -> R:
    """The record of class ``kind`` in ``data``, whichever known schema it was written with.

    Raises SchemaUnknown for a schema that was not learned yet, RecordUndecodable for
    anything else that is not exactly one such record; nothing else for any bytes.
    """
    codec = _CODECS[kind]
    prefix = data[:_PREFIX_BYTES]
    if prefix == codec.prefix:
        return cast(R, _read(data, codec, None))
    return cast(R, _read(data, codec, _other_version(prefix, codec)))


def kind_of(data: bytes) -> type | None:
    """The class of the record in ``data`` by its known fingerprint, else None."""
    prefix = data[:_PREFIX_BYTES]
    if prefix in _BY_PREFIX:
        return _BY_PREFIX[prefix]
    learned = _learned.get(prefix)
    return _CLASSES[learned.name] if learned and learned.schema is not None else None


def own_schemas() -> dict[str, str]:
    """Fingerprint → schema (JSON, with its docs) of each record this version writes."""
    return {codec.prefix[2:].hex(): codec.text for codec in _CODECS.values()}


def learn(schema_json: str) -> str:
    """Make a writer's schema known; returns its fingerprint, computed anew.

    Raises RecordUndecodable if the text is no Avro schema, or if it is one of our records'
    that could make a few bytes decode without end.
    """
    try:
        schema = json.loads(schema_json)
        prefix = _prefix(schema)
        name = fullname(schema).removeprefix(f"{NAMESPACE}.")
        ours = name in {kind.__name__ for kind in _KINDS}
        parsed = _parsed(schema) if ours else None
    except Exception as error:
        raise RecordUndecodable(
            f"a schema that was published cannot be read: {_said(error)}",
            hint="only workers and clients write to the topic 'schemas'",
        ) from error
    if prefix not in _BY_PREFIX:
        with _learning:
            if len(_learned) >= LEARNED_MAX:
                del _learned[next(iter(_learned))]
            _learned[prefix] = _Learned(name, parsed)
    return prefix[2:].hex()


def _read(data: bytes, codec: _Codec, writer: Json | None) -> Any:
    body = BytesIO(data)
    body.seek(_PREFIX_BYTES)
    try:
        if writer is None:
            values = schemaless_reader(body, codec.schema)
        else:
            values = schemaless_reader(body, writer, codec.schema)
        record = codec.from_dict(cast(Dict, values))
    except Exception as error:  # the reader raises whatever the bytes happen to provoke
        raise RecordUndecodable(f"not a readable {codec.name}: {_said(error)}") from error
    left = len(data) - body.tell()
    if left:
        raise RecordUndecodable(f"{left} bytes follow the {codec.name} that ends there")
    return record


def _other_version(prefix: bytes, codec: _Codec) -> Json:
    """The learned schema with this prefix, if it is another version of the codec's record."""
    if prefix[:2] != _MARKER or len(prefix) < _PREFIX_BYTES:
        raise RecordUndecodable(f"not in Avro single-object encoding: starts with {prefix!r}")
    own = _BY_PREFIX.get(prefix)
    learned = _learned.get(prefix)
    if own is None and learned is None:
        raise SchemaUnknown(prefix[2:].hex())
    name = own.__name__ if own else learned.name if learned else ""
    if name != codec.name or learned is None:
        raise RecordUndecodable(f"a {name}, not a {codec.name}")
    return learned.schema


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in cast(Dict, value).items()}
    if isinstance(value, list):
        return [_escaped(item) for item in cast(list[Any], value)]
    return value


def _prefix(schema: Json) -> bytes:
    canonical = to_parsing_canonical_form(schema)
    return _MARKER + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def _parsed(schema: Json) -> Json:
    """The schema ready for the coder: checked, and with plain integers for timestamps."""
    _width_min(schema, NAMESPACE, {})
    return parse_schema(_plain(schema))


def _plain(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_plain(branch) for branch in cast(list[Json], schema)]
    if not isinstance(schema, dict):
        return schema
    plain = {k: v for k, v in cast(Dict, schema).items() if k not in ("logicalType", "doc")}
    for inner in ("type", "items", "values"):
        if inner in plain:
            plain[inner] = _plain(plain[inner])
    if "fields" in plain:
        plain["fields"] = [_plain(item) for item in plain["fields"]]
    return plain


def _width_min(schema: Json, space: str, widths: dict[str, int | None]) -> int:
    """The fewest bytes that a value takes; refuses what no input could bound.

    A schema that contains itself nests as deep as the bytes say (the reader is in C and has
    no limit), and items of no bytes come in any number. ``widths`` maps a name to its width,
    None while it is being measured. Raises ValueError.
    """
    if isinstance(schema, list):
        return 1 + min(_width_min(branch, space, widths) for branch in cast(list[Json], schema))
    if isinstance(schema, str):
        if schema in ("null", "boolean", "int", "long", "float", "double", "bytes", "string"):
            return {"null": 0, "float": 4, "double": 8}.get(schema, 1)
        known = widths[schema if "." in schema else f"{space}.{schema}"]
        if known is None:
            raise ValueError(f"{schema} contains itself")
        return known
    kind = schema["type"]
    if kind in ("array", "map"):
        items = _width_min(schema["items" if kind == "array" else "values"], space, widths)
        if kind == "array" and not items:
            raise ValueError("an array whose items take no bytes")
        return 1
    if kind not in ("record", "enum", "fixed"):
        return _width_min(kind, space, widths)
    name = fullname(schema) if "namespace" in schema else f"{space}.{schema['name']}"
    widths[name] = None
    inside = name.rpartition(".")[0]
    if kind == "record":
        width = sum(_width_min(item["type"], inside, widths) for item in schema["fields"])
    else:
        width = 1 if kind == "enum" else schema["size"]
    widths[name] = width
    return width


def _codec(kind: type) -> _Codec:
    text = (data_folder("schemas") / f"{kind.__name__}.avsc").read_text(encoding="utf-8")
    schema = json.loads(text)
    to_dict, from_dict = _converters(schema)
    compact = json.dumps(schema, separators=(",", ":"))
    return _Codec(kind.__name__, compact, _parsed(schema), _prefix(schema), to_dict, from_dict)


def _converters(schema: Json) -> tuple[Callable[[Any], Dict], Callable[[Dict], Any]]:
    """Functions between an object of the record's class and the coder's dict of its values."""
    kind: type[Any] = _CLASSES[schema["name"]]
    names = tuple(field.name for field in fields(kind))
    values_of = attrgetter(*names)
    inner = [(item["name"], _inner(item["type"])) for item in schema["fields"]]
    nested = [(name, *both) for name, both in inner if both]

    def to_dict(record: Any) -> Dict:
        values = dict(zip(names, values_of(record), strict=True))
        for name, down, _ in nested:
            values[name] = down(values[name])
        return values

    def from_dict(values: Dict) -> Any:
        for name, _, up in nested:
            values[name] = up(values[name])
        return kind(**values)

    return to_dict, from_dict


def _inner(schema: Json) -> tuple[Callable[[Any], Any], Callable[[Any], Any]] | None:
    """Converters of a field that holds a record, perhaps, or many of them; else None."""
    if isinstance(schema, list) and isinstance(schema[-1], dict):
        down, up = _converters(schema[-1])
        return lambda v: v and down(v), lambda v: v and up(v)
    items = cast(Dict, schema).get("items") if isinstance(schema, dict) else None
    if isinstance(items, dict):
        down, up = _converters(items)
        return lambda v: [down(x) for x in v], lambda v: [up(x) for x in v]
    return None


_CODECS: dict[type, _Codec] = {kind: _codec(kind) for kind in _KINDS}
_BY_PREFIX = {codec.prefix: kind for kind, codec in _CODECS.items()}
_learned: dict[bytes, _Learned] = {}
_learning = Lock()
