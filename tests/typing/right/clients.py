"""Right uses of the client and the worker: the type checker must accept every line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import assert_type

from pydantic import BaseModel, JsonValue

from streams import (
    Address,
    Agent,
    Batch,
    Client,
    Context,
    Handle,
    Result,
    TaskExpired,
    TaskFailed,
    Worker,
    agent,
)


class Question(BaseModel):
    text: str


class Harder(Question):
    depth: int


search = Address("search", str, list[str])


@agent
async def answer(ctx: Context, question: Question) -> int:
    return len(question.text)


async def questions() -> AsyncIterator[Question]:
    yield Question(text="why")


async def use(client: Client) -> None:
    handle = await client.submit(
        answer,
        Question(text="why"),
        key="k",
        tenant="t",
        task_id="mine",
        deadline=datetime.now(UTC) + timedelta(hours=1),
    )
    assert_type(handle, Handle[int])
    assert_type(handle.task_id, str)
    assert_type(await handle.result(timeout=timedelta(seconds=5)), int)
    assert_type(await handle.record(5), Result[int])
    assert_type(await client.submit(answer, Harder(text="why", depth=1)), Handle[int])
    assert_type(await client.submit(search, "why"), Handle[list[str]])
    assert_type(await client.submit("by-name", {"text": ["why", 1]}), Handle[JsonValue])
    assert_type(await client.ask(search, "why", timeout=None), list[str])
    assert_type(await client.handle(answer, "id", key="k"), Handle[int])
    try:
        await client.ask(answer, Question(text="why"), key="k", timeout=1.5)
    except (TaskFailed, TaskExpired) as error:
        print(error.hint)


async def use_many(client: Client) -> None:
    batch = await client.submit_many(
        answer, [Question(text="why")], key=lambda question: question.text, tenant="t"
    )
    assert_type(batch, Batch[int])
    async for result in batch:
        assert_type(result, Result[int])
        assert_type(result.output, int | None)
    assert_type(await client.submit_many(answer, questions()), Batch[int])


async def main() -> None:
    as_agent: Agent[Question, int] = answer
    async with Client(bootstrap="host:9092", prefix="p") as client:
        await use(client)
    async with Client() as client:
        await use_many(client)
    await Worker([as_agent, answer], bootstrap="host:9092", slot="s1").run()
