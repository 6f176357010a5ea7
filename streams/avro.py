"""Records as bytes: Avro single-object encoding of the classes in ``records.py``.

The bytes are the marker C3 01, the CRC-64-AVRO fingerprint of the writer's schema (little
endian, over its Parsing Canonical Form) and the Avro body (Apache Avro specification, "Single
object encoding"). A fingerprint in text is those eight bytes in wire order, as hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from io import BytesIO
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

from fastavro import (
    schemaless_reader,  # pyright: ignore[reportUnknownVariableType]
    schemaless_writer,  # pyright: ignore[reportUnknownVariableType]
)
from fastavro.schema import fingerprint, fullname, parse_schema, to_parsing_canonical_form

from streams.avro_writer import Writer, compile_writer
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
    write: Writer
    values: Callable[[Any], Dict]
    build: Callable[[Dict], Any]
    build_resolved: Callable[[Dict], Any]


class _Learned(NamedTuple):
    """Another version of a record's schema; ``schema`` is None for a record not ours."""

    name: str
    schema: Json | None


def encode(record: AnyRecord | Result[Any]) -> bytes:
    """The record's bytes.

    A lone surrogate in a string, which UTF-8 cannot hold, becomes its escape. A field of a
    wrong type is a programmer's error (TypeError, ValueError or AttributeError), an integer
    beyond 64 bits an OverflowError.
    """
    codec = _CODECS[type(record)]
    try:
        return codec.write(record) or _write(codec, record)
    except UnicodeEncodeError:
        # An exception's message may hold anything; it must not stop the pool that reports it.
        return _write(codec, _escaped(record))


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


def first_text(data: bytes, kind: type) -> str | None:
    """The first field of the record, a string, without reading the others.

    None if this version did not write it, or if only reading all of it can tell.
    """
    # A length of one byte that is not negative (Avro specification, "Binary encoding").
    if data[:_PREFIX_BYTES] != _CODECS[kind].prefix or len(data) == _PREFIX_BYTES:
        return None
    length = data[_PREFIX_BYTES]
    if length & 0x81:
        return None
    begin = _PREFIX_BYTES + 1
    return data[begin : begin + (length >> 1)].decode("utf-8", "replace")


def is_known(data: bytes) -> bool:
    """Whether the schema these bytes name is known; bytes that name none count as known."""
    prefix = data[:_PREFIX_BYTES]
    return prefix in _BY_PREFIX or prefix in _learned or prefix[:2] != _MARKER


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
        prefix, learned = _understood(schema_json)
    except Exception as error:
        raise RecordUndecodable(
            f"a schema that was published cannot be read: {_said(error)}",
            hint="only workers and clients write to the topic 'schemas'",
        ) from error
    with _learning:
        if prefix not in _BY_PREFIX and prefix not in _learned:
            while len(_learned) >= LEARNED_MAX:
                del _learned[next(iter(_learned))]
            _learned[prefix] = learned
    return prefix[2:].hex()


@lru_cache(LEARNED_MAX)
def _understood(schema_json: str) -> tuple[bytes, _Learned]:
    """What a schema's text says; remembered, because the topic is read again and again."""
    schema = json.loads(schema_json)
    name = fullname(schema).removeprefix(f"{NAMESPACE}.")
    ours = name in {kind.__name__ for kind in _KINDS}
    return _prefix(schema), _Learned(name, _parsed(schema) if ours else None)


def _write(codec: _Codec, record: Any) -> bytes:
    body = BytesIO()
    body.write(codec.prefix)
    schemaless_writer(body, codec.schema, codec.values(record))
    return body.getvalue()


def _not_flat(_: Any) -> None:
    return None


def _read(data: bytes, codec: _Codec, writer: Json | None) -> Any:
    body = BytesIO(data)
    body.seek(_PREFIX_BYTES)
    try:
        if writer is None:
            record = codec.build(cast(Dict, schemaless_reader(body, codec.schema)))
        else:
            values = schemaless_reader(body, writer, codec.schema)
            record = codec.build_resolved(cast(Dict, values))
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
    if isinstance(value, list):
        return [_escaped(item) for item in cast(list[Any], value)]
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(_escaped(getattr(value, field.name)) for field in fields(value)))
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
    return plain["type"] if plain.keys() == {"type"} else plain


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
        if kind == "array" and items < 1:
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
    plain, prefix = _plain(schema), _prefix(schema)
    parsed = _parsed(schema)
    return _Codec(
        name=kind.__name__,
        text=json.dumps(schema, separators=(",", ":")),
        schema=parsed,
        prefix=prefix,
        write=compile_writer(parsed, prefix) or _not_flat,
        values=_values(plain),
        build=_builder(plain, by_name=False),
        build_resolved=_builder(plain, by_name=True),
    )


def _values(schema: Json) -> Callable[[Any], Dict]:
    """A function from an object of the record's class to the writer's dict, not to be changed."""
    parts = [(field["name"], _part_values(field["type"])) for field in schema["fields"]]
    nested = [(name, part) for name, part in parts if part]

    def values(record: Any) -> Dict:
        found = cast(Dict, vars(record))
        inner = {name: part(found[name]) for name, part in nested if found[name]}
        return {**found, **inner} if inner else found

    return values


def _part_values(schema: Json) -> Callable[[Any], Any] | None:
    """As ``_part_builder``, in the other direction."""
    many, record = _part(schema)
    if not isinstance(record, dict):
        return None
    values = _values(record)
    if many:
        return lambda parts: [values(part) for part in parts]
    return values


def _part(schema: Json) -> tuple[bool, Json]:
    """Whether a field holds an array, and the type of what it holds (null left aside)."""
    inner = cast(list[Json], schema)[-1] if isinstance(schema, list) else schema
    many = isinstance(inner, dict) and cast(Dict, inner)["type"] == "array"
    return many, cast(Dict, inner)["items"] if many else cast(Json, inner)


def _builder(schema: Json, *, by_name: bool) -> Callable[[Dict], Any]:
    """A function from the reader's dict to an object of the record's class.

    By position is faster, but after schema resolution the dict has the writer's order.
    """
    kind: type[Any] = _CLASSES[schema["name"]]
    parts = [(field["name"], _part_builder(field["type"], by_name)) for field in schema["fields"]]
    nested = [(name, build) for name, build in parts if build]

    def build(values: Dict) -> Any:
        for name, build_part in nested:
            values[name] = build_part(values[name])
        return kind(**values) if by_name else kind(*values.values())

    return build


def _part_builder(schema: Json, by_name: bool) -> Callable[[Any], Any] | None:
    """The builder of a field that holds a record, perhaps, or an array; None if none is needed."""
    many, record = _part(schema)
    if not isinstance(record, dict):
        # A field that the writer did not have gets the schema's own default list.
        return list if many and by_name else None
    build = _builder(record, by_name=by_name)
    if many:
        return lambda values: [build(item) for item in values]
    return lambda values: None if values is None else build(values)


_CODECS: dict[type, _Codec] = {kind: _codec(kind) for kind in _KINDS}
_BY_PREFIX = {codec.prefix: kind for kind, codec in _CODECS.items()}
_learned: dict[bytes, _Learned] = {}
_learning = Lock()
