"""``streams task``: submit work, and look at it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from streams.cli.connect import connect, connected, settings
from streams.cli.output import emit, emit_one, output, say

_STATUSES = ("succeeded", "failed", "cancelled", "expired", "open")
_LIST = (
    "task_id",
    "status",
    "submitted_at=at",
    "took_s=sec",
    "attempt=try",
    "key",
    "reason=why",
)


@click.group()
def task() -> None:
    """Submit work, and look at it."""


@task.command()
@click.argument("agent")
@click.argument("text", metavar="[INPUT|-]", required=False)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An input on each line (JSON lines).",
)
@click.option("--key", help="Tasks of one key run one after the other.")
@click.option("--key-field", metavar="F", help="The field of the input that holds the key.")
@click.option("--tenant", default="", help="On whose behalf; costs are reported by it.")
@click.option("--task-id", metavar="ID", help="An id of your own: repeating it submits nothing.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop waiting then (exit 124). Default: wait on.",
)
@connected
@output
def submit(
    agent: str,
    text: str | None,
    file: Path | None,
    key: str | None,
    key_field: str | None,
    tenant: str,
    task_id: str | None,
    wait: bool,
    timeout: float | None,
) -> int:
    """Submit a task to AGENT. INPUT is JSON, or text if the agent takes text; - reads stdin.

    \b
    streams task submit search '{"text": "exactly once"}' --wait
    streams task submit search --file questions.jsonl --key-field user --wait
    """
    if (text is None) == (file is None):
        raise click.UsageError("give either INPUT (- for stdin) or --file")
    if key is not None and key_field is not None:
        raise click.UsageError("give either --key or --key-field")
    if file is not None and task_id is not None:
        raise click.UsageError("--task-id names one task, --file may hold many")
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait")
    from streams.cli.submit import Wanted
    from streams.cli.submit import submit as send
    from streams.client import Client

    if text == "-":
        text = sys.stdin.read()
    wanted = Wanted(agent, text, file, key, key_field, tenant, task_id, wait, timeout)
    at = connect()

    async def run() -> int:
        async with Client(settings=settings()) as client:
            return await send(client, at, wanted)

    return asyncio.run(run())


@task.command()
@click.argument("agent")
@click.argument("task_id", metavar="ID")
@click.option("--key", help="The key it was submitted with: only its partition is read.")
@connected
@output
def get(agent: str, task_id: str, key: str | None) -> None:
    """Show a task's result; the task itself while it is open.

    \b
    streams task get search 01a20576-5728-7fca-9384-e21190b04519
    streams task get search 01a20576-5728-7fca-9384-e21190b04519 --key user-7
    """
    from streams.inspect.tasks import Tasks

    at = connect()
    tasks = Tasks(at.log, at.topics, at.catalog, at.clock, agent)
    try:
        emit_one(tasks.get(task_id, key))
    finally:
        say(str(tasks.read))


@task.command("list")
@click.option("--agent", required=True, help="Whose tasks.")
@click.option("--since", default="1h", show_default=True, metavar="SPAN", help="Or a time.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only these.")
@click.option("-n", "count", type=click.IntRange(1), default=100, show_default=True)
@connected
@output
def list_(agent: str, since: str, status: str | None, count: int) -> None:
    """List the newest tasks that were submitted or ended since a time.

    \b
    streams task list --agent search
    streams task list --agent search --since 2d --status failed -o json
    """
    from streams.inspect.places import since_ms
    from streams.inspect.tasks import Tasks

    at = connect()
    tasks = Tasks(at.log, at.topics, at.catalog, at.clock, agent)
    rows = tasks.rows(since_ms(since, at.clock.now_micros()), status)
    emit(rows[-count:], _LIST)
    more = f"; the newest {count} of {len(rows)} are shown (-n)" if len(rows) > count else ""
    say(f"{tasks.read}{more}")
