"""``streams agent``: the agents that are known in a deployment."""

from __future__ import annotations

import click

from streams.cli.connect import connect, connected, given
from streams.cli.output import emit, emit_one, output, say

_LIST = ("agent", "version", "partitions", "concurrency", "attempts", "ordering", "description")


@click.group()
def agent() -> None:
    """The agents that are known here."""


@agent.command("list")
@connected
@output
def list_() -> None:
    """List the agents whose cards are published.

    \b
    streams agent list
    streams agent list -o json
    """
    from streams.inspect.agents import card_row

    cards = connect().catalog.read()
    emit([card_row(card) for _, card in sorted(cards.items())], _LIST)
    if not cards:
        say(f"no agent is known here yet; streams topic apply PATH{given()} makes one known")


@agent.command()
@click.argument("name")
@connected
@output
def get(name: str) -> None:
    """Show an agent's card: its policies, its topics and the schemas of input and output.

    \b
    streams agent get search
    """
    import asyncio

    from streams.inspect.show import fields_of

    emit_one(fields_of(asyncio.run(connect().catalog.card(name))))
