"""Produces a client's records and confirms their delivery to the event loop."""

from __future__ import annotations

import asyncio
import logging

from streams.catalog import unanswered
from streams.errors import BrokerUnreachable, LogError, StreamsError
from streams.ports import Headers, Log, Runner, Signal, Stepper, Wait

log = logging.getLogger("streams.client")

UNCONFIRMED_MAX = 10_000
"""Records produced and not acknowledged: submitting waits at this bound."""
POLL_S = 0.05
IDLE_S = 0.5


class Deliverer:
    """One producer for a client. ``run`` is its stepper; the rest is for the event loop."""

    def __init__(self, source: Log, runner: Runner) -> None:
        self._producer = source.producer()
        self._loop = asyncio.get_running_loop()
        self._signal: Signal = runner.signal()
        self._room = asyncio.Event()
        self._room.set()
        self._unconfirmed = 0
        self._done: list[tuple[asyncio.Future[None], LogError | None]] = []
        self._stopping = False
        self._failure: StreamsError | None = None

    async def produce(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes,
        headers: Headers | None = None,
    ) -> asyncio.Future[None]:
        """Enqueue; the future is done when the log has the record, or failed with why not.

        Raises what ended ``run``, if anything did.
        """
        confirmed: asyncio.Future[None] = self._loop.create_future()

        def report(error: LogError | None) -> None:
            self._done.append((confirmed, error))

        while True:
            while self._unconfirmed >= UNCONFIRMED_MAX:
                await self._wait_for_room()
            try:
                self._producer.produce(topic, partition, key, value, headers, report)
                break
            except Exception as error:
                if self._failure is not None:
                    raise self._failure from error
                # Large records fill the client's buffer long before UNCONFIRMED_MAX.
                full = isinstance(error, LogError) and error.kind == "_QUEUE_FULL"
                if not full or not self._unconfirmed:
                    raise
            await self._wait_for_room()
        self._unconfirmed += 1
        if self._unconfirmed == 1:
            self._signal.set()
        return confirmed

    def stop(self) -> None:
        self._stopping = True
        self._signal.set()

    def run(self) -> Stepper:
        """Serve deliveries until stopped and all is delivered; at its end each has its answer."""
        try:
            while not self._stopping or self._unconfirmed:
                if self._unconfirmed:
                    self._producer.poll(POLL_S)
                    self._hand_over()
                    yield None
                else:
                    yield Wait(self._signal, IDLE_S)
        except Exception as error:
            self._failure = StreamsError(f"the producer died: {error!r}", hint="this is a bug")
            raise
        finally:
            try:
                self._producer.close()  # reports on whatever is left
            finally:
                self._hand_over()

    async def _wait_for_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    def _hand_over(self) -> None:
        done, self._done = self._done, []
        if done and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._confirm, done)

    def _confirm(self, done: list[tuple[asyncio.Future[None], LogError | None]]) -> None:
        self._unconfirmed -= len(done)
        if self._unconfirmed < UNCONFIRMED_MAX:
            self._room.set()
        for confirmed, error in done:
            if confirmed.done():
                continue
            if error is None:
                confirmed.set_result(None)
            else:
                confirmed.set_exception(_refused(error))
                confirmed.exception()  # seen: a batch may look at only the first


def _refused(error: LogError) -> StreamsError:
    if error.kind in ("_MSG_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN"):
        return BrokerUnreachable(
            f"the task was not acknowledged: {error}",
            hint="it may have been written; submit it with a task_id of your own to be sure",
        )
    why = unanswered(error)
    if why is not error:
        return why
    return StreamsError(
        f"the task was refused: {error}",
        hint="check the topic and the right to write to it",
    )
