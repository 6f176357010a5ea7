"""An agent as its callers know it: a name with the types that go in and come out.

Payloads travel as JSON, validated by pydantic on both sides. Pydantic is imported when the
first payload is, so that defining and importing agents stays cheap.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from streams.errors import DefinitionError, InputInvalid, OutputInvalid
from streams.ids import NAME_RULE, is_name

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")

PROBLEMS_MAX = 10
"""Problems listed in one message; a long list of wrong items repeats itself."""


def check_name(name: object, what: str, *, where: str = "") -> None:
    """DefinitionError unless ``name`` may name an agent; ``what`` is whose name it is."""
    if not isinstance(name, str) or not is_name(name):
        raise DefinitionError(
            f"{name!r} cannot be {what}", hint=f"a name is {NAME_RULE}", where=where
        )


@dataclass(frozen=True)
class Address(Generic[In, Out]):
    """An agent's name with its input and output types, for callers without the agent's code.

    The types are whatever a pydantic ``TypeAdapter`` takes. Raises DefinitionError for a name
    that no agent can have; a type that pydantic cannot handle raises it at first use.
    """

    name: str
    input: type[In]
    output: type[Out]

    def __post_init__(self) -> None:
        check_name(self.name, "the name of an agent")

    def parse_input(self, data: bytes) -> In:
        """Read an input from JSON; InputInvalid lists each problem with its place."""
        return self._input.parse(data)

    def dump_input(self, value: In) -> bytes:
        """Validate an input and write it as JSON; InputInvalid lists each problem."""
        return self._input.dump(value)

    def parse_output(self, data: bytes) -> Out:
        """Read an output from JSON; OutputInvalid lists each problem with its place."""
        return self._output.parse(data)

    def dump_output(self, value: Out) -> bytes:
        """Validate an output and write it as JSON; OutputInvalid lists each problem."""
        return self._output.dump(value)

    def input_schema(self) -> str:
        """JSON Schema of the input, as text; DefinitionError for a type that has none."""
        return self._input.schema("validation")

    def output_schema(self) -> str:
        """JSON Schema of the output, as text; DefinitionError for a type that has none."""
        return self._output.schema("serialization")

    @cached_property
    def _input(self) -> _Payload[In]:
        return _Payload(self.input, f"input of '{self.name}'", InputInvalid)

    @cached_property
    def _output(self) -> _Payload[Out]:
        return _Payload(self.output, f"output of '{self.name}'", OutputInvalid)


class _Payload(Generic[T]):
    """Reads and writes values of one type as JSON.

    A value to be written is validated strictly: nothing is converted (``"5"`` is no int). JSON
    that is read follows the type's own rules. Aliases are written, as they are what is read.
    """

    def __init__(
        self, kind: type[T], what: str, invalid: type[InputInvalid | OutputInvalid]
    ) -> None:
        from pydantic import PydanticUserError, TypeAdapter, ValidationError
        from pydantic_core import PydanticSerializationError

        try:
            adapter = TypeAdapter(kind)
        except (PydanticUserError, NameError, TypeError) as error:
            raise DefinitionError(
                f"the {what} is a {_type_name(kind)}, which cannot be read from JSON: "
                f"{str(error).splitlines()[0]}",
                hint="use a pydantic model, a dataclass, a TypedDict or a plain type",
            ) from error
        self._adapter = adapter
        self._what = what
        self._kind_name = _type_name(kind)
        self._invalid = invalid
        # Bound once: these are called for every task.
        self._validation_error: type[ValidationError] = ValidationError
        self._serialization_error = PydanticSerializationError
        self._validate_json: Callable[[bytes], T] = adapter.validator.validate_json
        self._validate_python: Callable[..., T] = adapter.validator.validate_python
        self._to_json: Callable[..., bytes] = adapter.serializer.to_json

    def parse(self, data: bytes) -> T:
        try:
            return self._validate_json(data)
        except self._validation_error as error:
            raise self._refusal(_problems(error)) from None

    def dump(self, value: T) -> bytes:
        try:
            # A model changed after it was made is not validated again; `warnings` finds a
            # field that has become something else.
            return self._to_json(
                self._validate_python(value, strict=True), by_alias=True, warnings="error"
            )
        except self._validation_error as error:
            raise self._refusal(_problems(error)) from None
        except self._serialization_error as error:
            raise self._refusal([" ".join(str(error).split())]) from None

    def schema(self, mode: Literal["validation", "serialization"]) -> str:
        from pydantic import PydanticUserError

        try:
            schema = self._adapter.json_schema(mode=mode)
        except PydanticUserError as error:
            raise DefinitionError(
                f"the {self._what} has no JSON Schema: {str(error).splitlines()[0]}",
                hint="use a pydantic model, a dataclass, a TypedDict or a plain type",
            ) from error
        return json.dumps(schema, separators=(",", ":"), sort_keys=True)

    def _refusal(self, problems: list[str]) -> InputInvalid | OutputInvalid:
        lines = "".join(f"\n  {problem}" for problem in problems)
        return self._invalid(f"the {self._what} is not a valid {self._kind_name}:{lines}")


def _problems(error: ValidationError) -> list[str]:
    """One line per problem, each with its place in the payload."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [
        f"{_place(problem['loc'])}{problem['msg']}".replace("\n", " ")
        for problem in found[:PROBLEMS_MAX]
    ]
    if len(found) > PROBLEMS_MAX:
        lines.append(f"... and {len(found) - PROBLEMS_MAX} more")
    return lines


def _place(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{path.removeprefix('.')}: " if path else ""


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
