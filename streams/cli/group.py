"""``streams group``: how far behind, what is incomplete, who owns what, and moving it."""

from __future__ import annotations

import click

from streams.cli.connect import connect, connected, given
from streams.cli.output import emit, output, say

_LIST = ("agent", "group", "state", "members", "partitions", "behind", "behind_s=sec", "incomplete")
_GET = (
    "partition=p",
    "offset",
    "end",
    "behind",
    "behind_s=sec",
    "incomplete",
    "worker",
    "epoch",
    "released",
    "deaths",
    "problem",
)
_SEEK = ("partition", "old", "new", "runs_again", "skipped")


@click.group()
def group() -> None:
    """Consumer groups: how far behind, who owns what."""


@group.command("list")
@connected
@output
def list_() -> None:
    """List the groups of this deployment with how far behind they are.

    \b
    streams group list
    """
    from streams.inspect import groups

    at = connect()
    rows = [
        groups.look(at.log, at.topics, pool, at.clock)[0]
        for pool in groups.pools(at.log, at.topics)
    ]
    emit(rows, _LIST)
    if not rows:
        say("no groups here; streams topic apply PATH makes the topics of agents")


@group.command()
@click.argument("agent")
@connected
@output
def get(agent: str) -> None:
    """Show each partition of an agent: tasks and seconds behind, what is incomplete, its owner.

    \b
    streams group get search
    streams group get search -o json
    """
    from streams.inspect import groups

    at = connect()
    whole, rows = groups.look(at.log, at.topics, agent, at.clock)
    emit(rows, _GET)
    say(
        f"group {whole['group']} is {whole['state']} with {whole['members']} members; "
        f"{whole['behind']} behind, the oldest for {whole['behind_s']} s"
    )


@group.command()
@click.argument("agent")
@click.option("--to", metavar="PLACE", help="start, end, -10m, a time, or @OFFSET.")
@click.option("--partition", type=click.IntRange(0), help="Default: all.")
@click.option(
    "--restore",
    "restores",
    multiple=True,
    metavar="P:OFFSET:METADATA",
    help="Exactly what was committed before, as the undo prints it.",
)
@click.option("--execute", is_flag=True, help="Do it; without it only the plan is shown.")
@connected
@output
def seek(
    agent: str, to: str | None, partition: int | None, restores: tuple[str, ...], execute: bool
) -> None:
    """Move an agent's group to another place; no worker may run.

    Tasks that ran already run again, and are answered once more; tasks that are jumped over
    never run.

    \b
    streams group seek search --to -1h
    streams group seek search --to @1200 --partition 3 --execute
    """
    if (to is None) == (not restores):
        raise click.UsageError("give either --to or --restore")
    if restores and partition is not None:
        raise click.UsageError("--restore names its partitions itself")
    from streams.inspect import seek as seeks
    from streams.inspect.places import parse_place

    at = connect()
    target = seeks.parse_restores(restores)
    if to is not None:
        number = to if not (to.isascii() and to.isdigit()) else f"@{to}"
        target = parse_place(number, at.clock.now_micros())
    moves = seeks.plan_move(at.log, at.topics, agent, at.clock, target, partition)
    if execute:
        seeks.move(at.log, at.topics, agent, moves)
    emit((move.row() for move in moves), _SEEK)
    again, skipped = sum(m.again for m in moves), sum(m.skipped for m in moves)
    say(f"{again} tasks run again, {skipped} never run" + ("" if execute else " (a plan)"))
    if execute:
        say(f"to undo: {seeks.undo_command(agent, moves)}{given()}")
    else:
        say("nothing was changed; --execute does it")
