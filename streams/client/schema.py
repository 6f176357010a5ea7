"""Checks JSON against an agent's card, for callers without the agent's types."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from streams.errors import InputInvalid
from streams.records import AgentCard

PROBLEMS_MAX = 10


def check_json(card: AgentCard, value: object) -> bytes:
    """The value as JSON bytes; InputInvalid with each problem and its place if it does not fit."""
    try:
        body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputInvalid(f"the input of '{card.agent}' is no JSON: {error}") from None
    validator = _validator(card.input_schema)
    problems = [
        f"\n  {'.'.join(str(part) for part in problem.absolute_path) or 'input'}: "
        f"{problem.message[:200]}"
        for problem, _ in zip(validator.iter_errors(value), range(PROBLEMS_MAX), strict=False)
    ]
    if problems:
        raise InputInvalid(
            f"the input of '{card.agent}' does not fit its schema:{''.join(problems)}",
            hint=f"`streams agent get {card.agent}` shows the schema",
        )
    return body


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))
