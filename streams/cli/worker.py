"""``streams worker``: run agents, and look after those that run."""

from __future__ import annotations

from typing import Any

import click

from streams.cli.connect import connect, connected, settings
from streams.cli.output import emit, emit_one, output, say

_LIST = (
    "worker",
    "state",
    "host",
    "pid",
    "agents",
    "in_flight=busy",
    "capacity=of",
    "partitions=parts",
    "per_second=/s",
    "cpu_percent=cpu%",
    "rss_mib=MiB",
    "version",
)


@click.group()
def worker() -> None:
    """Run agents, and look after those that run."""


@worker.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--concurrency", type=click.IntRange(1), help="Tasks of each agent at once; else its own."
)
@click.option("--slot", help="A name to come back under: a restart in it is at work at once.")
@click.option(
    "--drain-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="For running tasks to end after SIGTERM. Default: 25",
)
@click.option(
    "--metrics", type=click.IntRange(1, 65535), metavar="PORT", help="Serve Prometheus metrics."
)
@click.option("-v", "--verbose", is_flag=True, help="Log what the runtime does.")
@connected
def run(
    paths: tuple[str, ...],
    concurrency: int | None,
    slot: str | None,
    drain_timeout: float | None,
    metrics: int | None,
    verbose: bool,
) -> None:
    """Run the agents in PATH until SIGTERM or Ctrl-C; running tasks may end first.

    SIGUSR1 ends it too, and keeps its partitions for the next start in its slot.

    \b
    streams worker run agents/
    streams worker run agents/search.py --concurrency 500 --slot worker-1
    """
    import asyncio
    from contextlib import ExitStack

    from streams.cli.logs import log_to_stderr
    from streams.loader import load
    from streams.telemetry import serve_metrics
    from streams.worker.host import DRAIN_S
    from streams.worker.interpreter import dedicate
    from streams.worker.worker import Worker

    log_to_stderr(verbose)
    agents = [agent if concurrency is None else _at(agent, concurrency) for agent in load(paths)]
    drain_s = DRAIN_S if drain_timeout is None else drain_timeout
    where = settings()

    async def work() -> None:
        made = Worker(agents, slot=slot, settings=where, drain_s=drain_s)
        joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        names = ", ".join(agent.name for agent in agents)
        text = f"worker {made.slot} runs {names} on Kafka at {where.bootstrap}; Ctrl-C ends it"
        # Not before: it would stand above the error that keeps it from running.
        joined.add_done_callback(lambda _: say(text))
        with ExitStack() as ending:
            if metrics is not None:
                ending.callback(serve_metrics(metrics, lambda: made.heartbeat))
            await made.run(joined)
        say(f"worker {made.slot} has ended")

    dedicate()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work())


@worker.command("list")
@connected
@output
def list_() -> None:
    """List the workers that were heard of in the last two minutes.

    \b
    streams worker list
    streams worker list -o json
    """
    from streams.inspect import workers

    at = connect()
    seen = workers.seen_workers(at.log, at.topics, at.catalog, at.clock)
    emit([workers.worker_row(each) for each in seen], _LIST)
    if not seen:
        say("no worker was heard of in the last two minutes; streams worker run PATH starts one")


@worker.command()
@click.argument("worker_id", metavar="ID")
@connected
@output
def get(worker_id: str) -> None:
    """Show all that the last heartbeat of a worker says.

    \b
    streams worker get worker-1
    """
    from streams.inspect import workers

    at = connect()
    seen = workers.seen_workers(at.log, at.topics, at.catalog, at.clock)
    emit_one(workers.worker_details(workers.find_worker(seen, worker_id)))


@worker.command()
@click.argument("worker_id", metavar="ID")
@click.option("--keep", is_flag=True, help="Its partitions wait for its slot (a restart).")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=40.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for its end.",
)
@connected
def drain(worker_id: str, keep: bool, timeout: float) -> None:
    """End a worker of this host: its running tasks may end, then it leaves.

    \b
    streams worker drain worker-1
    streams worker drain worker-1 --keep
    """
    from streams.inspect.drain import drain_worker

    at = connect()
    beat = drain_worker(at.log, at.topics, at.catalog, at.clock, worker_id, keep, timeout)
    say(f"worker '{beat.worker_id}' (pid {beat.pid}) has ended")


def _at(agent: Any, concurrency: int) -> Any:
    from dataclasses import replace

    return replace(agent, policy=replace(agent.policy, concurrency=concurrency))


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        return None
    return uvloop.new_event_loop
