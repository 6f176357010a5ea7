"""``streams demo``: the main job on real documents, with a crash in the middle."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument(
    "files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE…"
)
def demo(files: tuple[Path, ...]) -> int:
    """Summarise and index documents on a real Kafka, and kill a worker half-way.

    Without FILE the documents are the reference topics of this Python. Ends with results, costs
    and the proof that every task was answered exactly once; exit code 1 if that fails.

    \b
    streams demo
    streams demo README.md docs/*.md
    """
    from streams.demo.corpus import read_files, reference_topics
    from streams.demo.report import show
    from streams.demo.run import check_installed, run
    from streams.demo.screen import Screen

    check_installed()
    documents = read_files(files) if files else reference_topics()
    with Screen() as screen:
        outcome = run(documents, screen)
    show(outcome)
    return 0 if outcome.ok else 1
