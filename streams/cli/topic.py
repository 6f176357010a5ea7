"""``streams topic``: make, list and read topics."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from streams.cli.connect import Connection, connect, connected, given
from streams.cli.output import Row, emit, emit_lines, emit_one, line, output, say
from streams.errors import Conflict, TopicMissing

if TYPE_CHECKING:
    from streams.provision import TopicPlan

_PLAN = ("action", "topic", "partitions", "replication", "detail")
_LIST = ("topic", "kind", "agent", "partitions", "replication")
_PARTITIONS = click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="Of topics to be made, fixed for their life. Default: 12",
)


@click.group()
def topic() -> None:
    """Make, list and read topics."""


@topic.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_PARTITIONS
@connected
@output
def plan(paths: tuple[str, ...], partitions: int | None) -> None:
    """Show which topics the agents in PATH need and which differ; change nothing.

    \b
    streams topic plan agents/
    streams topic plan agents/search.py --partitions 24
    """
    from streams.loader import load
    from streams.provision import plan as make_plan

    agents = load(paths)
    at = connect()
    todo = make_plan(at.log, at.topics, at.catalog, agents, partitions)
    emit(_plan_rows(at, todo), _PLAN)
    _say_totals(todo, at)
    if todo.conflicts:
        raise Conflict(
            f"{len(todo.conflicts)} topics differ in what agents rest on",
            hint=todo.conflicts[0].hint,
        )
    if todo.to_create:
        # As given, all of it: the number of partitions is for life.
        asked = "" if partitions is None else f" --partitions {partitions}"
        say(f"make them: streams topic apply {shlex.join(paths)}{asked}{given()}")


@topic.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_PARTITIONS
@connected
@output
def apply(paths: tuple[str, ...], partitions: int | None) -> None:
    """Make the topics that the agents in PATH need, and publish the agents' cards.

    \b
    streams topic apply agents/
    streams topic apply agents/search.py --partitions 24
    """
    from streams.loader import load
    from streams.provision import apply as make
    from streams.provision import plan as make_plan

    agents = load(paths)
    at = connect()
    todo = make_plan(at.log, at.topics, at.catalog, agents, partitions)
    make(at.log, at.topics, at.catalog, agents, todo)
    rows = [
        row | {"action": "created"} for row in _plan_rows(at, todo) if row["action"] == "create"
    ]
    emit(rows, _PLAN)
    names = ", ".join(agent.name for agent in agents)
    say(f"{len(rows)} topics made, {len(todo.changes) - len(rows)} were there; agents: {names}")


@topic.command("list")
@connected
@output
def list_() -> None:
    """List the topics of this deployment.

    \b
    streams topic list
    streams topic list -o json
    """
    from streams.inspect.topics import topic_rows

    at = connect()
    emit(topic_rows(at.log, at.topics), _LIST)


@topic.command()
@click.argument("name")
@connected
@output
def get(name: str) -> None:
    """Show a topic: its settings, and the records in each partition.

    \b
    streams topic get tasks.search
    """
    from streams.inspect.topics import topic_row

    at = connect()
    emit_one(topic_row(at.log, at.topics, name))


@topic.command()
@click.argument("name")
@click.option("-n", "count", type=click.IntRange(0), help="How many records. Default: 10")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes; end with Ctrl-C.")
@click.option("-p", "--partition", "only", type=click.IntRange(0), help="Default: all.")
@click.option("--from", "begin", metavar="PLACE", help="start, end, -10m, a time, or @OFFSET.")
@connected
@output
def tail(name: str, count: int | None, follow: bool, only: int | None, begin: str | None) -> None:
    """Show the newest records of a topic, or those from a place on, decoded.

    \b
    streams topic tail results.search -n 3
    streams topic tail tasks.search --from -10m -f
    """
    from streams.inspect import tail as tails
    from streams.inspect.places import parse_place

    at = connect()
    infos = at.log.admin().topics([name])
    if name not in infos:
        raise TopicMissing(f"topic '{name}' does not exist", hint="streams topic list")
    if only is not None and only >= infos[name].partitions:
        raise click.BadParameter(f"'{name}' has the partitions 0 to {infos[name].partitions - 1}")
    partitions = range(infos[name].partitions) if only is None else [only]
    place = None if begin is None else parse_place(begin, at.clock.now_micros())
    asked = tails.Asked(name, tuple(partitions), count, place, follow)
    emit_lines(tails.records(at.log, at.catalog, at.clock, asked), _tail_line)


def _tail_line(row: Row) -> str:
    head = f"{row['partition']}@{row['offset']} {row['time']} {row['key'] or '-'}"
    return f"{click.style(head, fg='cyan')} {line(row['value'])}"


def _plan_rows(at: Connection, todo: TopicPlan) -> list[dict[str, Any]]:
    exists = at.log.admin().topics()
    return [
        {
            "action": change.action,
            "topic": change.spec.name,
            "partitions": change.spec.partitions,
            "replication": exists[change.spec.name].replication
            if change.spec.name in exists
            else todo.replicas,
            "detail": change.detail,
            "config": dict(change.spec.config),
        }
        for change in todo.changes
    ]


def _say_totals(todo: TopicPlan, at: Connection) -> None:
    from streams.inspect.topics import totals

    say(totals(at.log, todo))
