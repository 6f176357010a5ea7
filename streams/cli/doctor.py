"""``streams doctor``: what keeps agents from working here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli.connect import connected, quiet, settings
from streams.cli.output import chosen, emit, output, say
from streams.errors import BrokerUnknown, BrokerUnreachable, StreamsError

if TYPE_CHECKING:
    from streams.doctor.check import Check
    from streams.settings import Settings

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}
_NAME_WIDTH = 16


@click.command()
@connected
@output
def doctor() -> int:
    """Check this machine, the broker, and the agents' topics, groups and workers.

    Exits with 1 if a check fails, with 3 if no broker is reached.

    \b
    streams doctor
    streams doctor -o json
    """
    quiet()
    found: list[Check] = []
    codes: list[int] = []
    lines = chosen() == "table"
    for check in _checks(codes):
        found.append(check)
        if lines:
            _print(check)
    if not lines:
        emit(asdict(check) for check in found)
    count = {verdict: sum(c.verdict == verdict for c in found) for verdict in _COLORS}
    say(f"{count['ok']} ok, {count['warn']} warnings, {count['fail']} failures")
    return max(codes, default=1 if count["fail"] else 0)


def _checks(codes: list[int]) -> Iterator[Check]:
    """All checks in order; ``codes`` is given the exit code of what could not be reached."""
    from streams.doctor.check import fail
    from streams.doctor.machine import machine_checks, settings_checks

    yield from machine_checks(Path.cwd())
    try:
        found = settings()
        yield from settings_checks(found)
        yield from _deployment(found)
    except (BrokerUnknown, BrokerUnreachable) as error:
        codes.append(error.exit_code)
        yield fail("broker", error.message, error.hint)
    except StreamsError as error:
        yield fail("settings" if error.exit_code == 2 else "broker", error.message, error.hint)


def _deployment(found: Settings) -> Iterator[Check]:
    from streams.catalog import Catalog
    from streams.clock import SystemClock
    from streams.doctor.deployment import Deployment, deployment_checks
    from streams.kafka.log import KafkaLog
    from streams.threads import ThreadRunner
    from streams.topics import Topics

    log, topics, clock = KafkaLog(found.bootstrap, found.kafka), Topics(found.prefix), SystemClock()
    log.check()
    catalog = Catalog(log, topics, clock, ThreadRunner())
    yield from deployment_checks(Deployment(log, topics, catalog, clock, time.sleep))


def _print(check: Check) -> None:
    verdict = click.style(check.verdict.ljust(4), fg=_COLORS[check.verdict])
    color = False if os.environ.get("NO_COLOR") else None
    click.echo(f"{verdict}  {check.name.ljust(_NAME_WIDTH)}  {check.detail}", color=color)
    if check.hint:
        hint = f"{click.style('hint', fg='cyan')}: {check.hint}"
        click.echo(f"{'':{_NAME_WIDTH + 8}}{hint}", color=color)
