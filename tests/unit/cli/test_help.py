"""Every command can be learnt from its own help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest

from streams.cli import NOUNS, cli


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with what is typed to call it."""
    context = click.Context(cli)
    for noun in NOUNS:
        found = cli.get_command(context, noun)
        assert found is not None
        if isinstance(found, click.Group):
            for verb in found.list_commands(context):
                command = found.get_command(context, verb)
                assert command is not None
                yield f"{noun} {verb}", command
        else:
            yield noun, found


ALL = dict(commands())
PLAIN = {"kafka status", "kafka down"}
"""Called as they are listed."""


@pytest.mark.parametrize("words", sorted(ALL.keys() - PLAIN))
def test_help_shows_a_real_invocation(words: str) -> None:
    assert f"\nstreams {words}" in inspect.cleandoc(ALL[words].help or "")


@pytest.mark.parametrize("words", sorted(ALL))
def test_the_first_line_of_help_is_a_sentence(words: str) -> None:
    first = (ALL[words].help or "").split("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), first
    assert first[0].isupper()


def test_the_alias_is_the_noun() -> None:
    context = click.Context(cli)
    assert cli.get_command(context, "dlq") is cli.get_command(context, "dead")
    assert "dlq" not in cli.list_commands(context)
