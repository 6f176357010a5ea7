"""``python -m streams.dev.child``: the worker process of ``streams dev``; see ``protocol``."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from streams.agent import Agent
from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.dev.protocol import AgentInfo, Loaded, Message, Spec, Started, Trouble, pack, unpack
from streams.errors import StreamsError
from streams.kafka.log import KafkaLog
from streams.loader import load
from streams.provision import apply, plan
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.worker.worker import Worker

_READ_BYTES = 65_536


def main() -> None:
    lines, say = _take_pipes()
    spec = unpack(lines.get())
    assert isinstance(spec, Spec)
    _log_to_stderr()
    try:
        agents = load(spec.paths)
        if spec.concurrency is not None:
            agents = [_at(agent, spec.concurrency) for agent in agents]
        say(_provide(agents, spec))
        lines.get()  # GO
        asyncio.run(_work(agents, spec, lambda: say(Started())))
    except StreamsError as error:
        say(Trouble.of(error))
        sys.exit(error.exit_code)


async def _work(agents: list[Agent[Any, Any]], spec: Spec, started: Callable[[], None]) -> None:
    joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    joined.add_done_callback(lambda future: None if future.cancelled() else started())
    worker = Worker(agents, slot=spec.slot, settings=spec.settings, drain_s=spec.drain_s)
    await worker.run(joined)


def _provide(agents: list[Agent[Any, Any]], spec: Spec) -> Loaded:
    """Make the topics that are missing, and say what there is."""
    settings = spec.settings
    log = KafkaLog(settings.bootstrap, settings.kafka)
    log.check()
    topics = Topics(settings.prefix)
    catalog = Catalog(log, topics, SystemClock(), ThreadRunner())
    todo = plan(log, topics, catalog, agents)
    apply(log, topics, catalog, agents, todo)
    cards = {card.agent: card for card in todo.cards}
    infos = [
        AgentInfo(
            agent.name,
            agent.version,
            agent.source,
            agent.input_schema(),
            topics.results(agent.name),
            next(t.partitions for t in cards[agent.name].topics if t.kind == "results"),
        )
        for agent in agents
    ]
    return Loaded(infos, [spec.name for spec in todo.to_create])


def _at(agent: Agent[Any, Any], concurrency: int) -> Agent[Any, Any]:
    return replace(agent, policy=replace(agent.policy, concurrency=concurrency))


def _take_pipes() -> tuple[queue.SimpleQueue[bytes], Callable[[Message], None]]:
    """Keep the pipes to ``streams dev``; what agents print goes to stderr, they read nothing."""
    reading, writing = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(reading, lines), name="dev", daemon=True).start()
    return lines, lambda message: _write(writing, pack(message))


def _listen(pipe: int, lines: queue.SimpleQueue[bytes]) -> None:
    """Hand on each line; at the end of the pipe its other side is gone: end at once.

    Raw reads: a thread that is blocked in a buffered reader breaks the end of the interpreter.
    """
    rest = b""
    while data := os.read(pipe, _READ_BYTES):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            lines.put(line)
    os._exit(1)


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _log_to_stderr() -> None:
    """What agents log, warnings of the runtime, and attempts that failed; dev adds the time."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("streams").setLevel(logging.WARNING)
    for name in ("streams.task", "streams.retry"):
        logging.getLogger(name).setLevel(logging.INFO)


if __name__ == "__main__":
    main()
