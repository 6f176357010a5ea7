"""``streams dev``: everything that an agent needs, while it is being written."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path))
@click.option("--fresh", is_flag=True, help="Wipe the data of this directory's Kafka first.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Default: 9092 or the next free one.")
@click.option(
    "--concurrency", type=click.IntRange(1), help="Tasks of each agent at once; else its own."
)
def dev(paths: tuple[Path, ...], fresh: bool, port: int | None, concurrency: int | None) -> int:
    """Run the agents in PATH (default: agents/) and load them again when a file changes.

    Starts a Kafka, or joins the one in use; makes the agents' topics; shows each result and
    error. Ctrl-C ends all that it started.

    \b
    streams dev
    streams dev agents/search.py --fresh
    """
    from streams.cli.connect import quiet
    from streams.dev.session import Options, run
    from streams.dev.show import Screen

    quiet()
    directory = Path.cwd()
    options = Options(directory, paths or (Path("agents"),), fresh, port, concurrency)
    return run(options, Screen(directory))
