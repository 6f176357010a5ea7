"""What a client awaits comes, or it is told why not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from streams.client.follow import Follower
from streams.errors import StreamsError
from streams.threads import ThreadRunner

PATIENCE_S = 20.0


class Broken:
    """A reader that is out of order."""

    def __init__(self) -> None:
        self.closed = False

    def assign(self, offsets) -> None:
        raise RuntimeError("out of order")

    def close(self) -> None:
        self.closed = True


def test_who_waits_when_the_thread_dies_is_told_and_so_is_who_comes_later() -> None:
    async def run() -> None:
        runner, reader = ThreadRunner(), Broken()
        source = SimpleNamespace(reader=lambda: reader)
        follower = Follower(source, SimpleNamespace(), runner)  # type: ignore[arg-type]
        waiting = [follower.await_result(name, "results") for name in "ab"]
        follower.follow({("results", 0): 0})
        running = runner.spawn("follow", follower.run())
        async with asyncio.timeout(PATIENCE_S):
            for awaited in (*waiting, None):
                if awaited is None:
                    assert await runner.call(lambda: running.join(PATIENCE_S))
                    awaited = follower.await_result("c", "results")
                with pytest.raises(StreamsError, match="out of order"):
                    await awaited.future
        assert reader.closed

    asyncio.run(run())
