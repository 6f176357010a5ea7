"""``streams dead``: dead letters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from streams.cli.connect import Connection, connect, connected, settings
from streams.cli.output import emit, emit_one, output, say

if TYPE_CHECKING:
    from streams.inspect.dead import Letter

_LIST = ("id", "time", "task_id", "reason", "error", "attempts=tries", "redriven")
_PLAN = ("id", "task_id", "action", "why", "new_task_id")
_SINCE = click.option("--since", default="7d", show_default=True, metavar="SPAN", help="Or a time.")


@click.group()
def dead() -> None:
    """Dead letters: look at them, submit them again."""


@dead.command("list")
@click.option("--agent", help="Whose dead letters. Default: of all agents.")
@_SINCE
@connected
@output
def list_(agent: str | None, since: str) -> None:
    """List dead letters, and which tasks were made of them again.

    \b
    streams dead list
    streams dead list --agent search --since 1h -o json
    """
    from streams.inspect import groups

    at = connect()
    rows: list[dict[str, Any]] = []
    for name in [agent] if agent is not None else groups.pools(at.log, at.topics):
        letters, redriven = _letters(at, name, since)
        rows += [each.row(redriven.get(each.letter.task_id or "", [])) for each in letters]
    rows.sort(key=lambda row: row["time"])
    emit(rows, _LIST if agent is not None else ("agent", *_LIST))
    whose = f" of '{agent}'" if agent is not None else ""
    say(f"{len(rows)} dead letters{whose} since {since}")


@dead.command()
@click.argument("agent")
@click.argument("id", metavar="ID")
@connected
@output
def get(agent: str, id: str) -> None:
    """Show a dead letter whole: the report with the frames, and the original.

    ID is the task's id, or PARTITION@OFFSET as 'dead list' shows it.

    \b
    streams dead get search 3@17
    """
    from streams.inspect.dead import Letters

    at = connect()
    letters = Letters(at.log, at.topics, at.catalog, at.clock, agent)
    # The bytes of the original, which is shown decoded.
    emit_one(letters.details(letters.find(id)), hidden=("value",))


@dead.command()
@click.argument("agent")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "all_", is_flag=True, help="All since --since that were not redriven yet.")
@_SINCE
@click.option("--execute", is_flag=True, help="Do it; without it only the plan is shown.")
@connected
@output
def redrive(agent: str, ids: tuple[str, ...], all_: bool, since: str, execute: bool) -> None:
    """Submit the tasks in dead letters again, as new tasks that name the old ones.

    A new task cannot be taken back. A dead letter that holds no task stays what it is. One that
    is named is submitted again also if it was before; the plan says so.

    \b
    streams dead redrive search --all
    streams dead redrive search 3@17 --execute
    """
    if bool(ids) == all_:
        raise click.UsageError("give either IDs or --all")
    from streams.inspect.dead import Letters, redrive_plan

    at = connect()
    if all_:
        letters, redriven = _letters(at, agent, since)
    else:
        found = Letters(at.log, at.topics, at.catalog, at.clock, agent)
        letters = [found.find(id) for id in ids]
        redriven = _redriven(at, agent, letters)
    todo = redrive_plan(letters, redriven, named=not all_)
    count = sum(row["action"] == "submit" for _, row in todo)
    if not execute:
        emit([row for _, row in todo], _PLAN)
        say(f"{count} tasks would be submitted (a plan); nothing was changed; --execute does it")
        return
    emit(asyncio.run(_resubmit(todo)), _PLAN)
    say(f"{count} tasks submitted")


async def _resubmit(todo: list[tuple[Letter, dict[str, Any]]]) -> list[dict[str, Any]]:
    from streams.client import Client

    done: list[dict[str, Any]] = []
    async with Client(settings=settings()) as client:
        for letter, row in todo:
            if letter.task is not None and row["action"] == "submit":
                handle = await client.resubmit(letter.task)
                row = row | {"action": "submitted", "new_task_id": handle.task_id}
            done.append(row)
    return done


def _letters(at: Connection, agent: str, since: str) -> tuple[list[Letter], dict[str, list[str]]]:
    """Dead letters since a time, and what was made of each task again."""
    from streams.inspect.dead import Letters
    from streams.inspect.places import since_ms

    begin = since_ms(since, at.clock.now_micros())
    letters = Letters(at.log, at.topics, at.catalog, at.clock, agent).since(begin)
    return letters, _redriven(at, agent, letters)


def _redriven(at: Connection, agent: str, letters: list[Letter]) -> dict[str, list[str]]:
    """Which tasks were made again of those in the letters."""
    from streams.inspect.tasks import SKEW_MS, Tasks

    if not letters:
        return {}
    # What was redriven came after the first of them had died.
    first_ms = min(each.letter.at for each in letters) // 1000
    tasks = Tasks(at.log, at.topics, at.catalog, at.clock, agent)
    return tasks.redriven(max(0, first_ms - SKEW_MS))
