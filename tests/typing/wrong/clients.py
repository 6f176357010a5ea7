"""Wrong uses of the client and the worker: exactly the marked lines must be reported."""

from __future__ import annotations

from pydantic import BaseModel

from streams import Address, Client, Context, Worker, agent


class Question(BaseModel):
    text: str


search = Address("search", str, list[str])


@agent
async def answer(ctx: Context, question: Question) -> int:
    return len(question.text)


async def use(client: Client) -> None:
    await client.submit(answer, "why")  # error:
    await client.submit(search, Question(text="why"))  # error:
    await client.submit(answer)  # error:
    await client.submit(answer, Question(text="why"), "key")  # error:
    await client.submit(answer, Question(text="why"), deadline=5)  # error:
    await client.submit("by-name", object())  # error:
    await client.ask(search, 5)  # error:
    await client.ask(search, "why", timeout="1s")  # error:
    text: str = await client.ask(search, "why")  # error:
    handle = await client.submit(answer, Question(text="why"))
    other: str = await handle.result()  # error:
    handle.task_ids  # error:
    await client.submit_many(answer, ["why"])  # error:
    await client.submit_many(answer, Question(text="why"))  # error:
    await client.submit_many(search, ["why"], key=lambda query: query.topic)  # error:
    await client.submit_many(search, ["why"], key=lambda query: len(query))  # error:
    batch = await client.submit_many(search, ["why"])
    for _ in batch:  # error:
        pass
    async for result in batch:
        number: int = result.output  # error:
        print(number, text, other)


async def main() -> None:
    client = Client("host:9092")  # error:
    await use(client)
    await Worker([search]).run()  # error:
    await Worker(["agents/answer.py"]).run()  # error:
    await Worker([answer], slot=1).run()  # error:
