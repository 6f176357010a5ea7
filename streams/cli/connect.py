"""The options ``--bootstrap`` and ``--prefix``, and the deployment they lead to."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from streams.catalog import Catalog
    from streams.ports import Clock, Log
    from streams.settings import Settings
    from streams.topics import Topics

F = TypeVar("F", bound=Callable[..., Any])

_META = "streams.connect."


@dataclass(frozen=True, slots=True)
class Connection:
    """A deployment that answers: its log, its names and what it says about itself."""

    log: Log
    topics: Topics
    clock: Clock
    catalog: Catalog


def connected(command: F) -> F:
    """Give a command ``--bootstrap`` and ``--prefix``; ``settings`` and ``connect`` follow them."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        ctx.meta[f"{_META}{param.name}"] = value

    for name, text in (
        ("prefix", "What the names of topics begin with. Default: as found, else nothing."),
        ("bootstrap", "host:port of a broker. Default: as found (STREAMS_BOOTSTRAP, .streams)."),
    ):
        command = click.option(f"--{name}", expose_value=False, callback=remember, help=text)(
            command
        )
    return command


def settings() -> Settings:
    """The settings that the options, the environment and the files give; SettingsInvalid."""
    from streams.settings import resolve

    meta = click.get_current_context().meta
    return resolve(bootstrap=meta.get(f"{_META}bootstrap"), prefix=meta.get(f"{_META}prefix"))


def given() -> str:
    """The options as they were given, to be repeated in a command that is printed."""
    meta = click.get_current_context().meta
    options = (
        ("--bootstrap", meta.get(f"{_META}bootstrap")),
        ("--prefix", meta.get(f"{_META}prefix")),
    )
    return "".join(f" {name} {shlex.quote(value)}" for name, value in options if value)


def connect() -> Connection:
    """Connect to the deployment in use; BrokerUnreachable if no broker answers."""
    from streams.catalog import Catalog
    from streams.clock import SystemClock
    from streams.kafka.log import KafkaLog
    from streams.threads import ThreadRunner
    from streams.topics import Topics

    quiet()
    found = settings()
    log, topics, clock = KafkaLog(found.bootstrap, found.kafka), Topics(found.prefix), SystemClock()
    log.check()
    return Connection(log, topics, clock, Catalog(log, topics, clock, ThreadRunner()))


def quiet() -> None:
    """Keep what the Kafka client logs off the terminal: a command says itself what failed."""
    logging.getLogger("streams").addHandler(logging.NullHandler())
