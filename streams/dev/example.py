"""An input that fits an agent's JSON Schema, to be copied and changed by a person."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, cast

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
    "binary": "text",
}


def submit_command(agent: str, input_schema: str) -> str:
    """The command that submits an example to the agent and waits for its result."""
    return f"streams task submit {agent} {shlex.quote(example_json(input_schema))} --wait"


def example_json(input_schema: str) -> str:
    """An example for a JSON Schema, as JSON text: the required fields with plausible values."""
    schema = json.loads(input_schema)
    return json.dumps(example(schema, schema), ensure_ascii=False)


def example(schema: Any, root: Any, name: str = "", within: tuple[str, ...] = ()) -> Any:
    """A value for ``schema``, whose references lead into ``root``; ``name`` is its field's.

    ``within`` are the references followed so far: only by these can a schema hold itself.
    """
    if not isinstance(schema, dict):
        return None
    spec = cast("dict[str, Any]", schema)
    for key in ("const", "default"):
        if key in spec:
            return spec[key]
    for key in ("examples", "enum"):
        if spec.get(key):
            return spec[key][0]
    if "$ref" in spec:
        reference = str(spec["$ref"])
        if reference in within:
            return None
        return example(_target(reference, root), root, name, (*within, reference))
    if "allOf" in spec:
        return _all_of(spec, root, name, within)
    for key in ("anyOf", "oneOf"):
        if key in spec:
            return example(_first(spec[key]), root, name, within)
    return _of_type(spec, root, name, within)


def _of_type(spec: Mapping[str, Any], root: Any, name: str, within: tuple[str, ...]) -> Any:
    kind = spec.get("type")
    if isinstance(kind, list):
        kind = next((each for each in cast("list[str]", kind) if each != "null"), "null")
    if kind == "object" or "properties" in spec:
        properties: dict[str, Any] = spec.get("properties", {})
        required: list[str] = spec.get("required", [])
        return {field: example(properties.get(field), root, field, within) for field in required}
    if kind == "array":
        return _array(spec, root, name, within)
    if kind in ("integer", "number"):
        return _number(spec, whole=kind == "integer")
    if kind == "string":
        return _text(spec, name)
    return True if kind == "boolean" else None


def _array(spec: Mapping[str, Any], root: Any, name: str, within: tuple[str, ...]) -> list[Any]:
    first = [example(item, root, name, within) for item in spec.get("prefixItems", [])]
    wanted = max(int(spec.get("minItems", 1)), len(first))
    items: Any = spec.get("items") or {}
    if not items or items.get("$ref") in within:
        return first
    item = example(items, root, name.removesuffix("s"), within)
    more = wanted - len(first)
    return first + [item] * min(more, int(spec.get("maxItems", more)))


def _number(spec: Mapping[str, Any], *, whole: bool) -> int | float:
    step = spec.get("multipleOf", 1)
    value = step
    if "minimum" in spec:
        value = max(value, spec["minimum"])
    if "exclusiveMinimum" in spec and value <= spec["exclusiveMinimum"]:
        value = spec["exclusiveMinimum"] + step
    if "maximum" in spec:
        value = min(value, spec["maximum"])
    if "exclusiveMaximum" in spec and value >= spec["exclusiveMaximum"]:
        top = spec["exclusiveMaximum"]
        value = top - 1 if whole else (spec.get("minimum", top - 1) + top) / 2
    return int(value) if whole else value


def _text(spec: Mapping[str, Any], name: str) -> str:
    if spec.get("format") in _FORMATS:
        return _FORMATS[spec["format"]]
    text = (name or "hello").replace("_", " ").ljust(int(spec.get("minLength", 0)), ".")
    return text[: int(spec["maxLength"])] if "maxLength" in spec else text


def _all_of(spec: Mapping[str, Any], root: Any, name: str, within: tuple[str, ...]) -> Any:
    parts = [example(part, root, name, within) for part in spec["allOf"]]
    merged: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict):
            return part
        merged |= cast("dict[str, Any]", part)
    return merged


def _first(choices: list[Any]) -> Any:
    """The first choice that is not null."""
    return next((each for each in choices if each != {"type": "null"}), None)


def _target(reference: str, root: Any) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        root = root.get(part.replace("~1", "/").replace("~0", "~"), {})
    return root
