"""Right uses of what defines agents: the type checker must accept every line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from streams import Address, Agent, Context, PermanentError, Retry, RetryAfter, agent, dependency
from streams.context import Dependency


class Question(BaseModel):
    text: str


class Harder(Question):
    depth: int


@dataclass
class Answer:
    text: str


class Database:
    async def find(self, text: str) -> str:
        return text


@dependency
async def database() -> AsyncIterator[Database]:
    yield Database()


@dependency
async def counter() -> AsyncGenerator[int, None]:
    yield 1


assert_type(database, Dependency[Database])
assert_type(counter, Dependency[int])

search = Address("search", str, list[str])
assert_type(search, Address[str, list[str]])


@agent
async def plain(ctx: Context, text: str) -> str:
    return text


assert_type(plain, Agent[str, str])


@agent(
    name="answers",
    version="2",
    concurrency=10,
    ordering="none",
    retry=Retry(5, delay=timedelta(seconds=1), delay_max=10),
    timeout=30,
)
async def answer(ctx: Context, question: Question) -> Answer:
    assert_type(ctx.deadline, datetime)
    assert_type(ctx.task.task_id, str)
    assert_type(ctx.attempt, int)
    assert_type(await ctx.use(database), Database)
    assert_type(await ctx.use(counter), int)
    assert_type(await ctx.submit(search, question.text, key="k"), str)
    await ctx.submit(answer, Harder(text="why", depth=1))
    assert_type(await plain(ctx, "inline"), str)
    ctx.charge("search", amount_micros=1500, units=3, kind="tool")
    ctx.log.info("%s %s", ctx.idempotency_key, Context.current().attempt)
    if not question.text:
        raise PermanentError("nothing was asked")
    if question.text == "later":
        raise RetryAfter(timedelta(seconds=5))
    return Answer(question.text)


assert_type(answer, Agent[Question, Answer])


@agent()
async def silent(ctx: Context, text: str | None) -> None: ...


assert_type(silent, Agent[str | None, None])


def run(ctx: Context) -> Coroutine[Any, Any, Answer]:
    as_address: Address[Question, Answer] = answer
    assert_type(as_address.parse_input(b"{}"), Question)
    assert_type(answer.dump_input(Question(text="a")), bytes)
    assert_type(answer.parse_output(b"{}"), Answer)
    return answer(ctx, Question(text="why"))


def names(agents: list[Agent[Any, Any]]) -> list[str]:
    return [one.name for one in agents]


names([plain, answer, silent])
