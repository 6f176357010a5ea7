"""The command line: ``streams NOUN VERB``, one file per noun, imported when it is called."""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from typing import Any

import click

from streams.errors import BrokerUnreachable, LogError, StreamsError, UsageError

NOUNS: dict[str, tuple[str, str]] = {
    "init": ("streams.cli.init:init", "A new project: an agent, and a test that passes."),
    "dev": ("streams.cli.dev:dev", "Kafka, a worker that follows your files, and its results."),
    "doctor": ("streams.cli.doctor:doctor", "What keeps agents from working here."),
    "demo": ("streams.cli.demo:demo", "See it work: real documents, a crash, the proof."),
    "kafka": ("streams.cli.kafka:kafka", "A real Kafka on this machine, without Docker."),
    "topic": ("streams.cli.topic:topic", "Make, list and read topics."),
    "worker": ("streams.cli.worker:worker", "Run agents, and look after those that run."),
    "agent": ("streams.cli.agent:agent", "The agents that are known here."),
    "task": ("streams.cli.task:task", "Submit work, and look at it."),
    "group": ("streams.cli.group:group", "Consumer groups: how far behind, who owns what."),
    "dead": ("streams.cli.dead:dead", "Dead letters: look at them, submit them again."),
    "cost": ("streams.cli.cost:cost", "What tasks cost."),
}
"""Name -> (``module:command``, the line of ``--help``). Listing them imports none of them."""

ALIASES = {"dlq": "dead"}

_INTERRUPTED = 130
_UNREACHABLE = frozenset({"_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_RESOLVE"})
_NOT_READY = frozenset(
    {
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "LEADER_NOT_AVAILABLE",
    }
)
"""What a broker says that has started and not loaded yet, when that is all it says for long."""


class LazyGroup(click.Group):
    """A group whose commands are named in ``NOUNS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in NOUNS:
            return None
        module, _, attribute = NOUNS[cmd_name][0].partition(":")
        return getattr(import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in NOUNS | ALIASES and (meant := self._meant(ctx, args[0])):
            near = " or ".join(f"'{name}'" for name in meant)
            ctx.fail(f"No such command '{args[0]}'. Did you mean {near}?")
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, name: str) -> list[str]:
        """The noun that is spelt like it, or the nouns of which it is a verb."""
        if close := difflib.get_close_matches(name, NOUNS, 1):
            return close
        groups = {noun: self.get_command(ctx, noun) for noun in NOUNS}
        return [
            f"{noun} {name}"
            for noun, group in groups.items()
            if isinstance(group, click.Group) and name in group.commands
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in NOUNS.items()])


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"streams {version('agentstreams')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Agents as exactly-once Kafka consumers."""


def main() -> None:
    """Run the command line and exit with the code its outcome stands for."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; a user's mistake is shown as ``error[…]`` and ``hint``, never a traceback.

    Returns the exit code; exceptions that are nobody's mistake in using us pass through.
    """
    try:
        outcome: Any = cli.main(arguments, prog_name="streams", standalone_mode=False)
    except click.Abort:  # click's form of KeyboardInterrupt
        return _INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        show(UsageError(error.format_message(), hint=f"{path} --help" if path else ""))
        return error.exit_code
    except LogError as error:
        if error.kind in _UNREACHABLE:
            error = BrokerUnreachable(f"the Kafka broker does not answer: {error}")
        elif error.kind in _NOT_READY:
            error = BrokerUnreachable(f"the Kafka broker is not ready: {error}")
        show(error)
        return error.exit_code
    except StreamsError as error:
        show(error)
        return error.exit_code
    return outcome if isinstance(outcome, int) else 0


def show(error: StreamsError) -> None:
    """Print an error and its remedy on stderr."""
    color = False if os.environ.get("NO_COLOR") else None
    title = click.style(f"error[{error.code}]", fg="red", bold=True)
    click.echo(f"{title}: {error.message}", err=True, color=color)
    if error.hint:
        title = click.style("hint", fg="cyan", bold=True)
        click.echo(f"{title}: {error.hint}", err=True, color=color)
