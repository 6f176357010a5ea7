from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic import BaseModel

import streams
from streams import Address, Agent, Context, Retry, agent
from streams.errors import DefinitionError

if TYPE_CHECKING:
    from decimal import Decimal


class Question(BaseModel):
    text: str


NO_CONTEXT = cast("Context", None)


@agent
async def find_answer(ctx: Context, question: Question) -> str:
    """Finds
    an answer.

    Nobody reads this.
    """
    return question.text.upper()


def test_an_agent_is_named_and_described_by_its_function() -> None:
    assert find_answer.name == "find-answer"
    assert find_answer.description == "Finds an answer."
    path, _, line = find_answer.source.rpartition(":")
    assert path == __file__
    assert int(line) > 1
    assert (find_answer.input, find_answer.output) == (Question, str)
    assert isinstance(find_answer, Address)


def test_its_policies_have_defaults() -> None:
    assert find_answer.version == "1"
    assert find_answer.concurrency == 100
    assert find_answer.ordering == "key"
    assert find_answer.retry == Retry()
    assert find_answer.timeout_s is None


def test_its_policies_can_be_given() -> None:
    @agent(
        name="other",
        version="2.1",
        concurrency=1,
        ordering="none",
        retry=Retry(1),
        timeout=timedelta(minutes=1),
    )
    async def f(ctx: Context, text: str) -> None: ...

    assert (f.name, f.version, f.concurrency, f.ordering) == ("other", "2.1", 1, "none")
    assert (f.retry, f.timeout_s, f.description) == (Retry(1), 60.0, "")
    assert f.output is type(None)


def test_calling_it_runs_the_function() -> None:
    assert asyncio.run(find_answer(NO_CONTEXT, Question(text="why"))) == "WHY"


def test_types_may_be_local_to_where_the_agent_is_defined() -> None:
    class Local(BaseModel):
        n: int

    @agent
    async def plain(ctx: Context, given: Local) -> list[Local]:
        return [given]

    @agent(version="2")
    async def called(ctx: Context, given: Local) -> Local:
        return given

    assert (plain.input, plain.output) == (Local, list[Local])
    assert (called.input, called.output) == (Local, Local)


def test_a_wrapped_handler_keeps_its_types() -> None:
    def noted(fn: Any) -> Any:
        @functools.wraps(fn)
        async def wrapper(*args: Any) -> Any:
            return f"{await fn(*args)}!"

        return wrapper

    @agent
    @noted
    async def shout(ctx: Context, text: str) -> str:
        return text

    assert (shout.name, shout.input, shout.output) == ("shout", str, str)
    assert asyncio.run(shout(NO_CONTEXT, "hey")) == "hey!"


def test_the_package_keeps_its_function_beside_the_module_of_that_name() -> None:
    import streams.agent
    import streams.loader

    assert streams.agent is agent
    assert streams.loader.Agent is Agent


def sync(ctx: Context, text: str) -> str:
    return text


async def generator(ctx: Context, text: str) -> AsyncIterator[str]:
    yield text


async def no_input(ctx: Context) -> str:
    return ""


async def three(ctx: Context, text: str, more: int) -> str:
    return text


async def keyword(ctx: Context, *, text: str) -> str:
    return text


async def starred(ctx: Context, text: str, *more: str) -> str:
    return text


async def swapped(text: str, ctx: Context) -> str:
    return text


async def bare_input(ctx: Context, text) -> str:  # type: ignore[no-untyped-def]
    return ""


async def bare_context(ctx, text: str) -> str:  # type: ignore[no-untyped-def]
    return text


async def bare_output(ctx: Context, text: str):  # type: ignore[no-untyped-def]
    return text


async def hidden(ctx: Context, amount: Decimal) -> str:
    return ""


async def no_type(ctx: Context, text: "str | 'x y'") -> str:  # type: ignore[valid-type]  # noqa: F722, UP037
    return ""


async def Loud(ctx: Context, text: str) -> str:  # noqa: N802
    return text


async def _private(ctx: Context, text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (sync, "not async"),
        (generator, "yields"),
        (no_input, "exactly a context and one input"),
        (three, "exactly a context and one input"),
        (keyword, "exactly a context and one input"),
        (starred, "exactly a context and one input"),
        (swapped, "the context comes first"),
        (bare_input, "parameter 'text' has no annotation"),
        (bare_context, "parameter 'ctx' has no annotation"),
        (bare_output, "its output has no annotation"),
        (hidden, "names 'Decimal', which is not defined"),
        (no_type, "an annotation is no type"),
        (Loud, "'Loud' cannot be the name"),
        (_private, "'-private' cannot be the name"),
    ],
)
def test_a_wrong_function_is_refused_with_place_and_fix(fn: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as caught:
        agent(fn)
    assert caught.value.where == f"{__file__}:{fn.__code__.co_firstlineno}"
    assert str(caught.value).startswith(f"{caught.value.where}: agent '{fn.__name__}': ")
    assert caught.value.hint


@pytest.mark.parametrize("thing", [functools.partial(sync), Question, 7])
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(DefinitionError, match="not a function"):
        agent(thing)


@pytest.mark.parametrize(
    "policy",
    [
        {"name": "A.b"},
        {"version": ""},
        {"version": 2},
        {"concurrency": 0},
        {"concurrency": 100_001},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"ordering": "strict"},
        {"retry": 3},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "1s"},
    ],
)
def test_a_wrong_policy_is_refused_with_place_and_fix(policy: dict[str, Any]) -> None:
    async def f(ctx: Context, text: str) -> str:
        return text

    with pytest.raises(DefinitionError, match="agent 'f'") as caught:
        agent(**policy)(f)
    assert caught.value.where == f"{__file__}:{f.__code__.co_firstlineno}"
    assert caught.value.hint


def test_the_surface_is_what_it_says() -> None:
    assert len(streams.__all__) <= 20
    assert dir(streams) == sorted(streams.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Manager'"):
        streams.Manager  # type: ignore[attr-defined]  # noqa: B018
