from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from typing_extensions import TypedDict

from streams import Address
from streams.errors import DefinitionError, InputInvalid, OutputInvalid


class Question(BaseModel):
    text: str
    tags: list[str] = []


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id_: int = Field(alias="id")


@dataclass
class Point:
    x: float
    at: datetime


class Row(TypedDict):
    name: str
    size: int


ask: Address[Question, str] = Address("ask", Question, str)


def address(kind: Any) -> Address[Any, Any]:
    return Address("any", kind, kind)


@pytest.mark.parametrize("name", ["", "Ask", "a_b", "a.b", "1a", "a" * 50, None, 7])
def test_a_name_that_could_collide_is_refused(name: Any) -> None:
    with pytest.raises(DefinitionError, match="cannot be the name of an agent") as caught:
        Address(name, str, str)
    assert "lower-case" in caught.value.hint


def test_an_address_is_a_value() -> None:
    assert ask == Address("ask", Question, str)
    with pytest.raises(AttributeError):
        ask.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, "ä\n"),
        (int, 7),
        (float, 2),
        (type(None), None),
        (bytes, b"abc"),
        (dict, {"a": [1, None]}),
        (str | None, None),
        (list[int], [1, 2]),
        (tuple[int, str], (1, "a")),
        (Question, Question(text="why", tags=["a"])),
        (Aliased, Aliased(id=4)),
        (Point, Point(1.5, datetime(2026, 1, 2, tzinfo=UTC))),
        (Row, {"name": "n", "size": 3}),
        (UUID, UUID(int=5)),
        (Annotated[int, Field(gt=3)], 4),
    ],
)
def test_a_value_of_the_type_goes_through_unchanged(kind: Any, value: Any) -> None:
    there = address(kind)
    assert there.parse_input(there.dump_input(value)) == value
    assert there.parse_output(there.dump_output(value)) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_goes_through_unchanged(value: JsonValue) -> None:
    there = address(JsonValue)
    data = there.dump_input(value)
    assert json.loads(data) == value
    assert there.parse_input(data) == value


@given(st.binary())
def test_bytes_that_are_no_object_are_refused_as_input(data: bytes) -> None:
    with pytest.raises(InputInvalid, match="input of 'ask'"):
        ask.parse_input(b"[" + data)


def test_each_problem_is_on_a_line_with_its_place() -> None:
    with pytest.raises(InputInvalid) as caught:
        ask.parse_input(b'{"tags": ["a", 1]}')
    assert str(caught.value).splitlines() == [
        "the input of 'ask' is not a valid Question:",
        "  text: Field required",
        "  tags[1]: Input should be a valid string",
    ]


def test_the_number_of_problems_told_is_bounded() -> None:
    with pytest.raises(InputInvalid) as caught:
        address(list[int]).parse_input(json.dumps(["x"] * 500).encode())
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  ... and 490 more"


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (int, "5"),
        (int, True),
        (str, 5),
        (str, None),
        (type(None), "x"),
        (Question, "text"),
        (Question, Aliased(id=4)),
        (Question, {"text": 5}),
        (Question, Question.model_construct(text=5)),
        (Row, {"name": "n"}),
        (Point, {"x": 1.5, "at": datetime(2026, 1, 2, tzinfo=UTC)}),
    ],
)
def test_a_value_of_another_type_is_refused_before_it_is_written(kind: Any, wrong: Any) -> None:
    there = address(kind)
    with pytest.raises(InputInvalid, match="input of 'any'"):
        there.dump_input(wrong)
    with pytest.raises(OutputInvalid, match="output of 'any'"):
        there.dump_output(wrong)


def test_output_that_cannot_be_read_is_refused_as_output() -> None:
    with pytest.raises(OutputInvalid, match="Invalid JSON"):
        ask.parse_output(b"{")


def test_a_model_with_more_fields_is_written_as_the_declared_one() -> None:
    class Longer(Question):
        secret: str = "s"

    assert b"secret" not in ask.dump_input(Longer(text="why"))


def test_schemas_say_what_is_read_and_written() -> None:
    assert json.loads(ask.input_schema())["required"] == ["text"]
    assert json.loads(ask.output_schema()) == {"type": "string"}
    assert list(json.loads(address(Aliased).input_schema())["properties"]) == ["id"]


def test_a_type_that_json_cannot_carry_is_a_definition_error() -> None:
    class Socket: ...

    with pytest.raises(DefinitionError, match=r"input of 'any' is a Socket") as caught:
        address(Socket).dump_input(Socket())
    assert "pydantic model" in caught.value.hint


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ["pydantic", "pydantic_core", "confluent_kafka", "fastavro", "rich", "click", "asyncio"]
    code = (
        "import sys, streams\n"
        "streams.Address('a', int, str); streams.Retry(); streams.Task\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
