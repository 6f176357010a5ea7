"""``Worker``: agents on a real Kafka. Wires the runtime to the client, threads and time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Sequence
from typing import Any, Self

from streams.agent import Agent
from streams.clock import SystemClock
from streams.errors import SettingsInvalid
from streams.ids import is_name, new_slot
from streams.records import Heartbeat
from streams.settings import Settings, resolve
from streams.telemetry import tracer
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.worker.host import DRAIN_S, Host, run_host
from streams.worker.shared import Surroundings


class Worker:
    """Runs agents in this process, as a member of each agent's consumer group.

    ``async with Worker([agent]):`` works until the block ends, then drains; ``await
    worker.run()`` works until SIGTERM or SIGINT (drain and leave) or SIGUSR1 (drain, and keep
    the slot's partitions for its next start). Cancelled, it cuts off what runs instead of draining,
    and leaves in order. ``slot`` names a stable identity: a worker that comes back in its slot is
    at work at once. It is refused while another uses it (SlotInUse).
    """

    def __init__(
        self,
        agents: Sequence[Agent[Any, Any]],
        *,
        bootstrap: str | None = None,
        prefix: str | None = None,
        slot: str | None = None,
        settings: Settings | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        if slot is not None and not is_name(slot):
            raise SettingsInvalid(
                f"slot {slot!r} is not a name", hint="for example --slot worker-1"
            )
        self.settings = settings or resolve(bootstrap=bootstrap, prefix=prefix)
        self.slot = slot or new_slot()
        self._static = slot is not None
        self._agents = agents
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self._keep = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.host: Host | None = None

    async def run(self, joined: asyncio.Future[None] | None = None) -> None:
        """Work until a signal or ``stop``; raises what stopped a pool.

        ``joined`` is resolved when the worker has joined its groups.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as handlers:
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.add_signal_handler(number, self.stop)
                    handlers.callback(loop.remove_signal_handler, number)
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(signal.SIGUSR1, lambda: self.stop(keep=True))
                handlers.callback(loop.remove_signal_handler, signal.SIGUSR1)
            await self._serve(joined)

    def stop(self, *, keep: bool = False) -> None:
        """Ask for the end: drain, then leave; with ``keep`` the partitions wait for the slot."""
        if keep:
            self._keep.set()
        self._stop.set()

    @property
    def heartbeat(self) -> Heartbeat | None:
        """What the worker said of itself last; None before it is at work."""
        heart = self.host.heart if self.host is not None else None
        return heart.latest if heart is not None else None

    async def __aenter__(self) -> Self:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._serve(started))
        try:
            await asyncio.wait({started, self._running}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            raise
        if self._running.done():
            await self._running
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        assert self._running is not None
        await self._running

    async def _serve(self, started: asyncio.Future[None] | None) -> None:
        # Imported here: the runtime itself also runs without the Kafka client, in tests.
        from streams.kafka.log import KafkaLog

        settings = self.settings
        log = KafkaLog(settings.bootstrap, settings.kafka)
        runner = ThreadRunner()
        await runner.call(log.check)
        around = Surroundings(
            log,
            SystemClock(),
            runner,
            random.random,
            Topics(settings.prefix),
            self.slot,
            self._static,
            tracer(),
        )
        self.host = Host(self._agents, around, drain_s=self._drain_s)
        await run_host(self.host, self._stop, self._keep, started)
