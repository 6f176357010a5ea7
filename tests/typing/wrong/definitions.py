"""Wrong uses of what defines agents: exactly the marked lines must be reported."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import BaseModel

from streams import Address, Agent, Context, Retry, RetryAfter, agent, dependency


class Question(BaseModel):
    text: str


search = Address("search", str, list[str])
Address(1, str, str)  # error:
Address("a", "str", str)  # error:
search.name = "other"  # error:
search.dump_input(5)  # error:
search.dump_output("not a list")  # error:

Retry("3")  # error:
Retry(3, 1)  # error:
Retry(3, delay="1s")  # error:
RetryAfter("1s")  # error:


@dependency
async def text() -> AsyncIterator[str]:
    yield ""


@dependency  # error:
def not_async() -> str:
    return ""


@dependency  # error:
async def returning() -> str:
    return ""


@dependency  # error:
async def asking(url: str) -> AsyncIterator[str]:
    yield url


@agent
async def answer(ctx: Context, question: Question) -> str:
    ctx.attempt = 2  # error:
    ctx.chat("model", "prompt")  # error:
    ctx.charge("search", amount_micros=0.5)  # error:
    ctx.charge("search", 5)  # error:
    number: int = await ctx.use(text)  # error:
    await ctx.use(answer)  # error:
    await ctx.submit(search, 5)  # error:
    await ctx.submit(answer, "why")  # error:
    await ctx.submit(answer, Question(text="a"), key=5)  # error:
    await ctx.submit("answer", Question(text="a"))  # error:
    await answer(ctx, "why")  # error:
    other: int = await answer(ctx, question)  # error:
    return f"{number}{other}"


wrong_in: Agent[str, str] = answer  # error:
wrong_out: Address[Question, int] = answer  # error:


@agent  # error:
def sync(ctx: Context, question: Question) -> str:
    return question.text


@agent  # error:
async def generator(ctx: Context, question: Question) -> AsyncIterator[str]:
    yield question.text


@agent  # error:
async def alone(ctx: Context) -> str:
    return ""


@agent  # error:
async def swapped(question: Question, ctx: Context) -> str:
    return question.text


@agent(concurrency="many")  # error:
async def many(ctx: Context, question: Question) -> str:
    return question.text


@agent(ordering="strict")  # error:
async def strict(ctx: Context, question: Question) -> str:
    return question.text


@agent(retry=3)  # error:
async def retried(ctx: Context, question: Question) -> str:
    return question.text


@agent(timeout="1s")  # error:
async def slow(ctx: Context, question: Question) -> str:
    return question.text


@agent("named")  # error:
async def named(ctx: Context, question: Question) -> str:
    return question.text


@agent(cache=5)  # error:
async def cached(ctx: Context, question: Question) -> str:
    return question.text
