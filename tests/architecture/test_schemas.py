"""Every version of a record reads every other: FULL_TRANSITIVE against all published ones.

``schema_history/<Record>.<n>.avsc`` holds each published version. A changed schema is added
there as version n + 1 (or replaces version n, if that was never released).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.resources import data_folder

HISTORY = Path(__file__).parent / "schema_history"
Schema = dict[str, Any]


def breaks(old: Any, new: Any) -> list[str]:
    """What keeps either version from reading the other's records; empty if nothing does."""
    there, back = unreadable(new, old, ""), unreadable(old, new, "")
    return list(dict.fromkeys([*there, *back]))


def unreadable(reader: Any, writer: Any, path: str) -> Iterator[str]:
    """Why ``reader`` cannot read what ``writer`` wrote, by Avro's schema resolution.

    Stricter in what would be read but mean something else: no promotions (they work in one
    direction only), the same logical type, the same branches in a union.
    """
    if isinstance(reader, list) and isinstance(writer, list):
        if [shape(branch) for branch in reader] != [shape(branch) for branch in writer]:
            yield f"{path}: type differs: {shapes(reader)}, was or will be {shapes(writer)}"
            return
        for ours, theirs in zip(reader, writer, strict=True):
            yield from unreadable(ours, theirs, path)
    elif shape(reader) != shape(writer):
        yield f"{path}: type differs: {shapes(reader)}, was or will be {shapes(writer)}"
    elif isinstance(reader, dict) and reader["type"] == "array":
        yield from unreadable(reader["items"], writer["items"], f"{path}[]")
    elif isinstance(reader, dict) and reader["type"] == "record":
        yield from unreadable_fields(reader, writer, path)


def unreadable_fields(reader: Schema, writer: Schema, path: str) -> Iterator[str]:
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        name = f"{path}.{field['name']}" if path else f"{reader['name']}.{field['name']}"
        theirs = written.get(field["name"])
        if theirs is not None:
            yield from unreadable(field["type"], theirs["type"], name)
            if field.get("default", ...) != theirs.get("default", ...):
                yield f"{name}: its default differs between versions"
        elif "default" not in field:
            yield f"{name}: without a default it can neither be added nor removed"


def shape(schema: Any) -> str:
    """What must be equal for two types to be the same, their insides aside."""
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return "union"
    kind, logical = schema["type"], schema.get("logicalType")
    if kind == "record":
        return f"record {schema['name']}"
    if kind == "array" or logical is None:
        return kind
    return f"{kind} ({logical})"


def shapes(schema: Any) -> str:
    return " or ".join(map(shape, schema)) if isinstance(schema, list) else shape(schema)


def load(path: Path) -> Schema:
    return json.loads(path.read_text(encoding="utf-8"))


def published(record: str) -> list[Path]:
    paths = HISTORY.glob(f"{record}.*.avsc")
    return sorted(paths, key=lambda path: int(path.name.split(".")[1]))


TODAY = {path.stem: load(path) for path in sorted(data_folder("schemas").glob("*.avsc"))}
NAMES = {path.name.split(".")[0] for path in HISTORY.glob("*.avsc")} | set(TODAY)


@pytest.mark.parametrize("record", sorted(NAMES))
def test_every_published_version_and_today_read_each_other(record: str) -> None:
    assert record in TODAY, f"{record}: a published record was removed; old ones become unreadable"
    assert published(record), f"{record}: publish it: copy it to {HISTORY.name}/{record}.1.avsc"
    found = [
        f"{path.name}: {problem}"
        for path in published(record)
        for problem in breaks(load(path), TODAY[record])
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("record", sorted(TODAY))
def test_today_is_the_latest_version_in_the_history(record: str) -> None:
    latest = published(record)[-1]
    assert load(latest) == TODAY[record], (
        f"{record}.avsc differs from {latest.name}: add it as the next version "
        f"(or replace {latest.name}, if that was never released)"
    )


@pytest.mark.parametrize("record", sorted(TODAY))
def test_versions_are_numbered_without_a_gap(record: str) -> None:
    numbers = [int(path.name.split(".")[1]) for path in published(record)]
    assert numbers == list(range(1, len(numbers) + 1))


# The checker itself


def changed(change: Callable[[list[Schema]], object], record: str = "DeadLetter") -> list[str]:
    new = json.loads(json.dumps(TODAY[record]))
    change(new["fields"])
    return breaks(TODAY[record], new)


def field(fields: list[Schema], name: str) -> Schema:
    return next(item for item in fields if item["name"] == name)


def remove(name: str) -> Callable[[list[Schema]], object]:
    return lambda fields: fields.remove(field(fields, name))


def retype(name: str, kind: Any) -> Callable[[list[Schema]], object]:
    return lambda fields: field(fields, name).update(type=kind)


def rename_inner(fields: list[Schema]) -> None:
    field(fields, "headers")["type"]["items"]["fields"][0]["name"] = "title"


def extend_error(fields: list[Schema]) -> None:
    field(fields, "error")["type"][1]["fields"].append({"name": "more", "type": "int"})


BREAKING: list[tuple[str, Callable[[list[Schema]], object], str]] = [
    ("required field removed", remove("worker_id"), "DeadLetter.worker_id"),
    (
        "required field added",
        lambda fields: fields.append({"name": "colour", "type": "string"}),
        "DeadLetter.colour",
    ),
    ("type changed", retype("reason", "bytes"), "DeadLetter.reason"),
    ("promotion", retype("attempts", "long"), "DeadLetter.attempts"),
    ("unit changed", retype("at", "long"), "DeadLetter.at"),
    (
        "other unit",
        retype("at", {"type": "long", "logicalType": "timestamp-millis"}),
        "DeadLetter.at",
    ),
    ("made nullable", retype("reason", ["null", "string"]), "DeadLetter.reason"),
    ("branch removed", retype("task_id", ["null"]), "DeadLetter.task_id"),
    ("branch type changed", retype("value", ["null", "string"]), "DeadLetter.value"),
    (
        "default removed",
        lambda fields: field(fields, "tenant").pop("default"),
        "DeadLetter.tenant",
    ),
    ("inner field renamed", rename_inner, "DeadLetter.headers[].name"),
    ("inner field without a default", extend_error, "DeadLetter.error.more"),
    (
        "array items changed",
        retype("headers", {"type": "array", "items": "string"}),
        "DeadLetter.headers[]",
    ),
]


@pytest.mark.parametrize(
    ("change", "name"), [pytest.param(c, n, id=title) for title, c, n in BREAKING]
)
def test_a_breaking_change_is_named_with_record_and_field(
    change: Callable[[list[Schema]], object], name: str
) -> None:
    assert any(problem.startswith(f"{name}:") for problem in changed(change))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda fields: None, id="nothing"),
        pytest.param(remove("tenant"), id="field with a default removed"),
        pytest.param(
            lambda fields: fields.append({"name": "colour", "type": "string", "default": ""}),
            id="field with a default added",
        ),
        pytest.param(lambda fields: fields.reverse(), id="order"),
        pytest.param(lambda fields: fields[0].update(doc="Other words."), id="doc"),
    ],
)
def test_a_compatible_change_passes(change: Callable[[list[Schema]], object]) -> None:
    assert changed(change) == []


def test_a_renamed_record_is_a_break() -> None:
    assert breaks(TODAY["Task"], TODAY["Task"] | {"name": "Job"}) != []
