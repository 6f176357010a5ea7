"""The checker on what the real runtime wrote."""

from __future__ import annotations

import asyncio

from streams import Context, PermanentError, Retry, agent
from streams.testing import Fleet
from streams.verify import check, input_hash


@agent
async def second(ctx: Context, text: str) -> str:
    return text


@agent(retry=Retry(attempts=2, delay=0.1))
async def first(ctx: Context, text: str) -> str:
    ctx.charge("look-up", amount_micros=3)
    if text == "bad":
        raise PermanentError("bad")
    if text == "flaky" and ctx.attempt == 1:
        raise ValueError("once")
    await ctx.submit(second, text)
    return text


def test_a_real_run_passes() -> None:
    fleet = Fleet(first, second, workers=2)
    texts = ["good", "flaky", "bad", *map(str, range(40))]

    async def run() -> dict[str, str]:
        async with fleet as client:
            submitted: dict[str, str] = {}
            handles = [await client.submit(first, text, key=text[:1]) for text in texts]
            for text, handle in zip(texts, handles, strict=True):
                submitted[handle.task_id] = input_hash(first.dump_input(text))
                await handle.record(60)
            await asyncio.sleep(5)  # virtual: the second agent's tasks end
        return submitted

    submitted = asyncio.run(run())
    report = check(fleet.log, fleet.topics, submitted, pools=[first.name, second.name])
    assert report.ok, report.text()
    assert report.submitted == len(texts)
    assert report.caused == len(texts) - 1
    assert report.answered == report.accepted
    assert report.dead == 1
    assert report.cost_micros == 3 * (len(texts) + 1)
