from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import copy_context
from typing import Any, cast

import pytest

from streams import Context, StreamsError, dependency
from streams.context import RUNNING
from streams.errors import DefinitionError


def test_outside_of_a_task_there_is_no_context() -> None:
    with pytest.raises(StreamsError, match="outside of a task") as caught:
        Context.current()
    assert "handler" in caught.value.hint


def test_inside_of_a_task_its_context_is_found() -> None:
    context = cast("Context", object())

    def run() -> Context:
        RUNNING.set(context)
        return Context.current()

    assert copy_context().run(run) is context


@dependency
async def pool() -> AsyncIterator[int]:
    yield 1


def test_a_dependency_is_a_value_with_name_and_place() -> None:
    assert pool.name == "pool"
    assert pool.source.startswith(f"{__file__}:")


def plain() -> AsyncIterator[int]:
    return pool.fn()


async def returning() -> int:
    return 1


async def asking(url: str) -> AsyncIterator[str]:
    yield url


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (plain, "not an async generator"),
        (returning, "not an async generator"),
        (asking, "has parameters"),
    ],
)
def test_another_function_is_no_dependency(fn: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as caught:
        dependency(fn)
    assert caught.value.where == f"{__file__}:{fn.__code__.co_firstlineno}"
    assert caught.value.hint


def test_a_value_is_no_dependency() -> None:
    with pytest.raises(DefinitionError, match="'7' is not"):
        dependency(cast("Any", 7))
