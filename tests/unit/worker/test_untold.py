"""Errors of handlers that cannot be told as others are."""

from __future__ import annotations

import pytest

from streams import Context, Retry, RetryAfter, agent
from streams.errors import StreamsError, UsageError

from .simulation import Simulation, simulate, until


class Rude(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("not telling")


class Bare(StreamsError):
    """It lacks what its base would have set."""

    def __init__(self) -> None:
        pass


class Untimely(RetryAfter):
    """Its delay is no number."""

    def __init__(self) -> None:
        self.delay_s = "soon"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Rude(), "RuntimeError"),
        (UsageError(ValueError("inside")), "inside"),  # type: ignore[arg-type]
        (UsageError("no hint", hint=ValueError()), "no hint"),  # type: ignore[arg-type]
        (Bare(), "AttributeError"),
        (Untimely(), "TypeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_that_cannot_be_told_still_ends_its_task(failure: Exception, told: str) -> None:
    @agent(concurrency=1, retry=Retry(attempts=2, delay=0))
    async def rude(ctx: Context, text: str) -> str:
        ctx.charge("token", amount_micros=5)
        if text == "bad":
            raise failure
        return text

    fleet = Simulation(rude)

    async def scenario() -> None:
        async with fleet as client:
            record = await (await client.submit(rude, "bad", key="k")).record(60)
            assert record.status == "failed"
            assert record.error is not None
            assert told in record.error.message
            assert await client.ask(rude, "good", key="k") == "good"
            pool = fleet.hosts[0].pools[0]
            await until(lambda: not pool.shared.ledger.held)
            assert (pool.shared.stats.failed, pool.shared.stats.succeeded) == (1, 1)
            assert pool.executor.scheduler.running == 0
            fleet.verify()

    simulate(scenario)
