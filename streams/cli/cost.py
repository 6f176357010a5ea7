"""``streams cost``: what tasks cost."""

from __future__ import annotations

import click

from streams.cli.connect import connect, connected
from streams.cli.output import emit, output, say


@click.group()
def cost() -> None:
    """What tasks cost."""


@cost.command()
@click.option(
    "--by", default="agent", show_default=True, help="agent, tenant, worker, run, kind, resource …"
)
@click.option("--since", default="1d", show_default=True, metavar="SPAN", help="Or a time.")
@connected
@output
def report(by: str, since: str) -> None:
    """Sum the charges of tasks that have ended, exactly.

    \b
    streams cost report --by agent,tenant
    streams cost report --by resource --since 7d -o json
    """
    from streams.inspect import costs
    from streams.inspect.places import since_ms

    names = costs.parse_dimensions(by)
    at = connect()
    begin = since_ms(since, at.clock.now_micros())
    found = costs.costs_since(at.log, at.topics, at.catalog, at.clock, begin)
    rows = costs.report(found, names)
    emit(rows, (*names, "charges", "units", "amount", "currency"))
    say(f"{sum(row['charges'] for row in rows)} charges since {since}")
    say("what attempts charged whose worker died before they ended is not known")
