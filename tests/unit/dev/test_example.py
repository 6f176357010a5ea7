"""The example that a person is offered fits the agent's input."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from streams.address import Address
from streams.dev.example import example_json, submit_command


class Colour(Enum):
    RED = "red"


class Nested(BaseModel):
    at: datetime
    id: UUID
    colours: list[Colour]


class Tree(BaseModel):
    name: str
    children: list[Tree]


class Wide(BaseModel):
    text: Annotated[str, Field(min_length=10)]
    short: Annotated[str, Field(max_length=2)]
    count: Annotated[int, Field(gt=3, le=9)]
    share: Annotated[float, Field(gt=0, lt=1)]
    even: Annotated[int, Field(multiple_of=2, ge=4)]
    pair: tuple[int, str]
    several: Annotated[list[int], Field(min_length=3)]
    nested: Nested
    either: int | None
    kind: Literal["a", "b"]
    flag: bool
    free: dict[str, int]
    anything: Any
    optional: str = "left out"


class Typed(TypedDict):
    name: str


@dataclass
class Data:
    name: str
    counts: list[int]


@pytest.mark.parametrize(
    "kind", [str, int, float, bool, list[str], dict[str, int], Wide, Tree, Typed, Data, str | None]
)
def test_the_example_is_accepted_by_the_type_it_is_for(kind: Any) -> None:
    address = Address("search", kind, str)
    address.parse_input(example_json(address.input_schema()).encode())


def test_examples_of_the_author_come_first() -> None:
    class Query(BaseModel):
        text: Annotated[str, Field(examples=["what is a log?"])]

    schema = Address("search", Query, str).input_schema()
    assert json.loads(example_json(schema)) == {"text": "what is a log?"}


def test_a_type_that_holds_itself_ends_at_once() -> None:
    schema = Address("search", Tree, str).input_schema()
    assert json.loads(example_json(schema)) == {"name": "name", "children": []}


def test_the_command_survives_a_shell() -> None:
    command = submit_command("search", '{"type": "string", "examples": ["it\'s"]}')
    assert shlex.split(command) == ["streams", "task", "submit", "search", '"it\'s"', "--wait"]
