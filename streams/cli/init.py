"""``streams init``: a new project."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from streams.cli.output import say


@click.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make a folder with an agent and a test that passes.

    \b
    streams init my-agents
    """
    from streams.scaffold import NEXT, create

    for path in create(folder):
        say(f"  {path}")
    say("\nnext:")
    width = max(len(command) for command, _ in NEXT)
    for command, what in ((f"cd {shlex.quote(str(folder))}", ""), *NEXT):
        say(f"  {command:{width}}  {f'# {what}' if what else ''}".rstrip())
