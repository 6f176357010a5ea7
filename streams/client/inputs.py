"""Inputs: as typed JSON, or plain text for agents that take text; in files JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from streams.address import Address
from streams.client.schema import check_json
from streams.errors import InputInvalid, UsageError
from streams.records import AgentCard


@dataclass(frozen=True)
class CardAddress(Address[Any, Any]):
    """An agent as its card describes it, for callers that have JSON and not its types."""

    card: AgentCard

    def dump_input(self, value: object) -> bytes:
        return check_json(self.card, value)

    def parse_output(self, data: bytes) -> JsonValue:
        return json.loads(data)


def address_of(card: AgentCard) -> CardAddress:
    """The agent of a card: inputs and outputs are JSON values, checked against its schema."""
    return CardAddress(card.agent, object, object, card)


def read_input(card: AgentCard, text: str) -> JsonValue:
    """The JSON in ``text``; for an agent that takes text, what is no JSON text is the text itself.

    InputInvalid.
    """
    if not takes_text(card):
        return _json(card, text)
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def takes_text(card: AgentCard) -> bool:
    """Whether the agent's input is a string."""
    return json.loads(card.input_schema).get("type") == "string"


def read_lines(path: Path, card: AgentCard) -> Iterator[JsonValue]:
    """The JSON on each line of a file that is not blank; InputInvalid names the line.

    A text stands in quotes also for an agent that takes text: a line that is broken JSON was
    meant to be something else.
    """
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                try:
                    value = _json(card, text)
                    check_json(card, value)
                except InputInvalid as error:
                    raise InputInvalid(f"{path}:{number}: {error}", hint=error.hint) from None
                yield value


def key_in(value: object, field: str) -> str:
    """The text of a field of an input, as its key; UsageError where there is none."""
    found = cast("dict[str, object]", value).get(field) if isinstance(value, dict) else None
    if found is None or isinstance(found, (dict, list)):
        raise UsageError(f"an input has no field '{field}' that could be its key: {value!r:.200}")
    return found if isinstance(found, str) else json.dumps(found)


def _json(card: AgentCard, text: str) -> JsonValue:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputInvalid(
            f"the input of '{card.agent}' is no JSON: {error}",
            hint=f"`streams agent get {card.agent}` shows its schema",
        ) from None
