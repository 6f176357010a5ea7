"""Inputs as they are typed on a command line or stand in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.client.inputs import address_of, key_in, read_input, read_lines
from streams.errors import InputInvalid, UsageError
from streams.records import AgentCard

TEXT = {"type": "string"}
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def card(schema: object) -> AgentCard:
    return AgentCard("greet", "1", "greet", json.dumps(schema), "{}", 0, 0)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ('"World"', "World"),
        ("World", "World"),
        ("5", "5"),
        ("null", "null"),
        ('{"a": 1', '{"a": 1'),
    ],
)
def test_an_agent_that_takes_text_takes_what_is_typed(typed: str, value: str) -> None:
    assert read_input(card(TEXT), typed) == value


def test_other_agents_take_json() -> None:
    assert read_input(card(PERSON), '{"name": "Ann"}') == {"name": "Ann"}
    with pytest.raises(InputInvalid) as caught:
        read_input(card(PERSON), "Ann")
    assert "agent get greet" in caught.value.hint


def test_a_line_that_does_not_fit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text('{"name": "Ann"}\n\n{"name": 5}\n')
    lines = read_lines(file, card(PERSON))
    assert next(lines) == {"name": "Ann"}
    with pytest.raises(InputInvalid, match=r"people\.jsonl:3: "):
        next(lines)


@pytest.mark.parametrize("line", ['{"b', "World", "5"])
def test_a_line_of_a_file_is_json_also_for_an_agent_that_takes_text(
    line: str, tmp_path: Path
) -> None:
    file = tmp_path / "names.jsonl"
    file.write_text(f'"Ann"\n{line}\n')
    lines = read_lines(file, card(TEXT))
    assert next(lines) == "Ann"
    with pytest.raises(InputInvalid, match=r"names\.jsonl:2: "):
        next(lines)


def test_a_key_is_a_field_of_the_input() -> None:
    assert key_in({"user": "ann"}, "user") == "ann"
    assert key_in({"user": 7}, "user") == "7"
    for value in ({"user": None}, {"user": {}}, {}, "ann"):
        with pytest.raises(UsageError, match="no field 'user'"):
            key_in(value, "user")


def test_an_agent_known_by_its_card_checks_inputs_against_it() -> None:
    address = address_of(card(PERSON))
    assert json.loads(address.dump_input({"name": "Ann"})) == {"name": "Ann"}
    with pytest.raises(InputInvalid, match="name: 5 is not of type 'string'"):
        address.dump_input({"name": 5})
    assert address.parse_output(b"[1]") == [1]
