"""``streams kafka``: the embedded Kafka of this directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.output import emit, output, say
from streams.errors import NotFound

if TYPE_CHECKING:
    from streams.broker.state import Running

_COLUMNS = ("broker", "address", "state", "pid", "started_at")


@click.group()
def kafka() -> None:
    """A real Kafka on this machine, without Docker."""


@kafka.command()
@click.option("--brokers", type=click.Choice(["1", "3"]), help="Default: as the data, else 1.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Default: 9092 or the next free one.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to keep the data. Default: .streams/kafka",
)
@click.option("--fresh", is_flag=True, help="Wipe the data first.")
@output
def up(brokers: str | None, port: int | None, data: Path | None, fresh: bool) -> None:
    """Start Kafka and leave it running until 'streams kafka down'.

    \b
    streams kafka up
    streams kafka up --brokers 3 --port 19092
    """
    from streams.broker import project

    begun = time.monotonic()
    wanted = project.Wanted(int(brokers) if brokers else None, port, data, fresh)
    running, started = project.up(Path.cwd(), wanted)
    if started:
        say(f"Kafka {running.version} is up at {running.bootstrap} ({_since(begun)})")
        say(f"data in {running.data}; end it with: streams kafka down")
    else:
        say(f"Kafka {running.version} is up already at {running.bootstrap}")
    emit(_rows(running), _COLUMNS)


@kafka.command()
@output
def status() -> None:
    """Show the Kafka that commands in this directory use; 1 if a broker of it does not run."""
    from streams.broker import state

    running = state.find_running(Path.cwd())
    if running is None:
        raise NotFound(
            "no embedded Kafka runs in this directory or a parent", hint="streams kafka up"
        )
    emit(_rows(running), _COLUMNS)
    running.check()


@kafka.command()
def down() -> None:
    """End the Kafka of this directory or a parent; its data stay."""
    from streams.broker import project

    begun = time.monotonic()
    ended = project.down(Path.cwd())
    if ended is None:
        say("no embedded Kafka runs in this directory or a parent")
    else:
        say(f"the Kafka at {ended.bootstrap} has ended ({_since(begun)}); data in {ended.data}")


def _rows(running: Running) -> Iterator[dict[str, Any]]:
    for broker in running.brokers:
        yield {
            "broker": broker.id,
            "address": broker.address,
            "state": running.state(broker),
            "pid": broker.pid,
            "log": broker.log,
            "bootstrap": running.bootstrap,
            "data": running.data,
            "cluster_id": running.cluster_id,
            "version": running.version,
            "started_at": running.started_at,
            "owner": running.owner,
        }


def _since(begun: float) -> str:
    return f"{time.monotonic() - begun:.1f} s"
