"""``streams dev`` from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.broker import state
from streams.broker.files import writing
from streams.broker.project import Wanted, joined
from streams.broker.state import HOME, Running
from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.dev.protocol import Loaded, Spec
from streams.dev.show import Screen
from streams.dev.supervise import DRAIN_S, Supervisor
from streams.dev.tail import Tail
from streams.dev.watch import Watch
from streams.errors import BrokerUnknown, Conflict, KafkaFailed, LoadFailed, SettingsInvalid
from streams.kafka.log import KafkaLog
from streams.records import Result
from streams.settings import STATE, Settings, resolve
from streams.threads import ThreadRunner
from streams.topics import Topics

SESSIONS_MAX = 8
WATCH_KAFKA_S = 0.5
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    """What ``streams dev`` was asked for; ``fresh`` wipes the data of its Kafka first."""

    directory: Path
    paths: Sequence[Path]
    fresh: bool = False
    port: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The Kafka in use; ``running`` is set if it is an embedded one, ``own`` if it is ours."""

    settings: Settings
    running: Running | None

    @property
    def own(self) -> bool:
        return self.running is not None and self.running.owner == os.getpid()


def run(options: Options, screen: Screen) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code. KafkaFailed if the Kafka in use ends."""
    for path in options.paths:
        if not path.exists():
            raise LoadFailed(
                f"{path} does not exist",
                hint="`streams init NAME` makes a first agent; "
                "for others: streams dev PATH... (files or folders)",
            )
    with _slot(options.directory) as slot, _kafka(options, screen) as place:
        return asyncio.run(_serve(options, place, slot, screen))


async def _serve(options: Options, place: Place, slot: str, screen: Screen) -> int:
    settings = place.settings
    log, topics, runner = (
        KafkaLog(settings.bootstrap, settings.kafka),
        Topics(settings.prefix),
        ThreadRunner(),
    )
    await runner.call(log.check)
    screen.where(settings, place.running, place.own)
    loop = asyncio.get_running_loop()

    def on_result(result: Result[bytes]) -> None:
        loop.call_soon_threadsafe(screen.result, result)

    tail = Tail(log, Catalog(log, topics, SystemClock(), runner), on_result)

    async def follow(loaded: Loaded) -> None:
        wanted = [(agent.results, agent.partitions) for agent in loaded.agents]
        await runner.call(lambda: tail.follow(wanted))

    spec = Spec(
        [str(path) for path in options.paths],
        slot,
        options.concurrency,
        DRAIN_S,
        settings.bootstrap,
        settings.prefix,
        dict(settings.kafka),
    )
    supervisor = Supervisor(spec, screen, Watch(options.paths).look, follow)
    reading = runner.spawn("dev-tail", tail.run())
    try:
        return await _until_interrupted(supervisor, place, screen, options.directory)
    finally:
        tail.stop()
        await runner.call(lambda: reading.join(2.0))


async def _until_interrupted(
    supervisor: Supervisor, place: Place, screen: Screen, directory: Path
) -> int:
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()

    def interrupt() -> None:
        if interrupted.is_set():
            _end_now(supervisor, place, directory)
        interrupted.set()
        screen.say("")
        screen.event("ending; Ctrl-C again ends at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    tasks = {
        asyncio.create_task(work)
        for work in (interrupted.wait(), supervisor.run(), _watch_kafka(place))
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await supervisor.stop()
    for task in done:
        task.result()
    return 0


def _end_now(supervisor: Supervisor, place: Place, directory: Path) -> None:
    """End without waiting: the watchdog kills the brokers when this process is gone."""
    supervisor.kill()
    if place.own:
        state.remove(directory)
    os._exit(_INTERRUPTED)


async def _watch_kafka(place: Place) -> None:
    """Ends, by KafkaFailed, when the embedded Kafka has ended."""
    while True:
        await asyncio.sleep(WATCH_KAFKA_S)
        if place.running is not None and not place.running.alive:
            logs = ", ".join(broker.log for broker in place.running.brokers)
            raise KafkaFailed(
                f"the Kafka at {place.running.bootstrap} has ended", hint=f"its log is {logs}"
            )


@contextmanager
def _kafka(options: Options, screen: Screen) -> Generator[Place, None, None]:
    """The Kafka that the environment or a file names, else the one that runs here, else ours."""
    wanted = Wanted(port=options.port, fresh=options.fresh)
    try:
        settings = resolve(cwd=options.directory)
    except BrokerUnknown:
        screen.say("starting Kafka ...")
    else:
        embedded = Path(settings.provenance["bootstrap"]).name == STATE.name
        if not embedded:
            yield Place(_not_ours(settings, options), None)
            return
    with joined(options.directory, wanted) as running:
        yield Place(resolve(bootstrap=running.bootstrap, cwd=options.directory), running)


def _not_ours(settings: Settings, options: Options) -> Settings:
    if options.fresh or options.port is not None:
        raise SettingsInvalid(
            f"--fresh and --port are for a Kafka that runs here, but {settings.bootstrap} is "
            f"named by {settings.provenance['bootstrap']}",
            hint="leave them out, or remove that setting",
        )
    return settings


@contextmanager
def _slot(directory: Path) -> Generator[str, None, None]:
    """A slot that no other ``streams dev`` uses, the same again at the next start here."""
    home = directory / HOME
    with contextlib.ExitStack() as stack:
        for number in range(1, SESSIONS_MAX + 1):
            with writing(home, "run it in a directory where you may write"):
                home.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((home / f"dev-{number}.lock").open("w"))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Others may share the broker: the name is this place's own.
                place = f"{socket.gethostname()}:{directory.resolve()}:{number}"
                yield f"dev-{zlib.crc32(place.encode()):08x}"
                return
    raise Conflict(
        f"streams dev runs {SESSIONS_MAX} times in {directory} already", hint="end one of them"
    )
