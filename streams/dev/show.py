"""What ``streams dev`` prints: results on stdout, what it does on stderr; one line each."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from streams.broker.state import Running
from streams.dev.example import submit_command
from streams.dev.protocol import AgentInfo, Loaded, Trouble
from streams.inspect.places import duration
from streams.records import Result
from streams.settings import Settings

COLUMNS_DEFAULT = 120
_STATUS_COLOR = {"succeeded": "green", "failed": "red", "expired": "yellow", "cancelled": "yellow"}
_ID_CHARACTERS = 8  # the end of an id: its beginning is the time, the same for all of now
_LABEL_WIDTH = 8
_TASK_ID = re.compile(r"\[[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{4}([0-9a-f]{8})\]")


class Screen:
    """Implements ``Reporter``; colour only on terminals, and not with NO_COLOR."""

    def __init__(self, directory: Path, out: IO[str] | None = None, err: IO[str] | None = None):
        self._directory = directory
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._agent_width = 0
        self._known: set[str] = set()

    # -- at the start and the end --------------------------------------------------------

    def say(self, text: str) -> None:
        """A line about what goes on."""
        self._print(self._err, text)

    def event(self, text: str) -> None:
        """The same, with the time."""
        self._print(self._err, f"{_dim(time.strftime('%H:%M:%S'))}  {text}")

    def where(self, settings: Settings, running: Running | None, own: bool) -> None:
        """Which Kafka is in use, and where its things are."""
        if running is None:
            origin = settings.provenance.get("bootstrap", "")
            self._labelled("kafka", f"{settings.bootstrap} (from {origin})")
        else:
            life = "ends with this command" if own else "was up already and stays"
            self._labelled("kafka", f"{running.bootstrap}, version {running.version}, {life}")
            self._labelled("data", self._short(running.data))
            logs = ", ".join(self._short(broker.log) for broker in running.brokers)
            self._labelled("log", logs)
        if settings.prefix:
            self._labelled("prefix", settings.prefix)

    def serving(self, loaded: Loaded, pid: int, seconds: float, *, again: bool) -> None:
        self._agent_width = max(len(agent.name) for agent in loaded.agents)
        first, known = not self._known, self._known
        self._known = known | {agent.name for agent in loaded.agents}
        fresh = [agent for agent in loaded.agents if agent.name not in known]
        if first:
            self._labelled("agents", _names(loaded.agents))
            self._labelled("worker", f"pid {pid}")
            self.say("")
            self._try(fresh)
            self.say("")
            self.say(_dim("results appear here, edited files are loaded again, Ctrl-C ends all"))
            self.say("")
        else:
            what = "started again" if again else "reloaded"
            self.event(f"{_ok(what)} {_names(loaded.agents)} in {seconds:.1f} s, pid {pid}")
            if fresh:
                self._try(fresh)

    def _try(self, agents: Sequence[AgentInfo]) -> None:
        self.say("try it in another terminal:")
        for agent in agents:
            self.say(f"  {_bold(submit_command(agent.name, agent.input_schema))}")

    # -- what happens --------------------------------------------------------------------

    def result(self, result: Result[bytes]) -> None:
        """An ended task, with the frames of the user's own code if it did not succeed."""
        width = _columns(self._out)
        for line in result_lines(result, self._agent_width, width, self._directory):
            self._print(self._out, line)

    def loading(self, changed: Sequence[Path]) -> None:
        names = ", ".join(self._short(str(path)) for path in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        self.event(f"{names}{more} changed")

    def refused(self, trouble: Trouble) -> None:
        self._trouble(trouble)
        self.event("the worker before this change goes on")

    def died(self, code: int, trouble: Trouble | None, again_in_s: float | None) -> None:
        if trouble is not None:
            self._trouble(trouble)
        if again_in_s is None:
            self.event("no worker is running; the next change of a file starts one")
        else:
            what = f"{_bad('the worker ended')} ({end_text(code)})"
            self.event(f"{what}; it starts again in {again_in_s:g} s")

    def cut_short(self) -> None:
        self.event("running tasks did not end in time; they run again with the next worker")

    def printed(self, line: str) -> None:
        text = _TASK_ID.sub(r"[…\1]", self._short(line))
        self.event(f"{_dim('│')} {text}")

    # -- inside --------------------------------------------------------------------------

    def _labelled(self, label: str, text: str) -> None:
        self.say(f"{_dim(label.ljust(_LABEL_WIDTH))}{text}")

    def _trouble(self, trouble: Trouble) -> None:
        title = click.style(f"error[{trouble.code}]", fg="red", bold=True)
        self.say(f"{title}: {self._short(trouble.message)}")
        if trouble.hint:
            self.say(f"{click.style('hint', fg='cyan', bold=True)}: {trouble.hint}")

    def _short(self, path: str) -> str:
        return shortened(path, self._directory)

    def _print(self, stream: IO[str], text: str) -> None:
        color = False if os.environ.get("NO_COLOR") else None
        click.echo(text, file=stream, color=color)


def result_lines(result: Result[Any], agent_width: int, columns: int, directory: Path) -> list[str]:
    """``TIME agent id status duration note preview``, then for a failure its report.

    The preview is cut at ``columns``; paths in ``directory`` are shortened.
    """
    at = time.strftime("%H:%M:%S", time.localtime(result.finished_at / 1e6))
    notes: list[str] = []
    if result.attempt > 1:
        notes.append(f"attempt {result.attempt}")
    if result.cost_micros:
        notes.append(f"cost {result.cost_micros / 1e6:.6f}")
    head = (
        f"{at}  {result.agent.ljust(agent_width)}  …{result.task_id[-_ID_CHARACTERS:]}  "
        f"{result.status.ljust(9)}  {duration(result.finished_at - result.started_at):>7}  "
    )
    noted = "".join(f"{note}  " for note in notes)
    preview = cut(_preview(result), columns - len(head) - len(noted))
    fg = _STATUS_COLOR.get(result.status, "yellow")
    painted = head.replace(result.status, click.style(result.status, fg=fg), 1)
    painted = _dim(at) + painted.removeprefix(at)
    lines = [f"{painted}{_dim(noted) if noted else ''}{preview}"]
    if result.error is not None:
        frames = [shortened(frame, directory) for frame in result.error.frames]
        lines += [f"{'':10}{cut(frame, columns - 10)}" for frame in frames]
        if result.error.hint:
            lines.append(f"{'':10}{click.style('hint', fg='cyan')}: {result.error.hint}")
        lines.append(f"{'':10}{_dim(f'streams task get {result.agent} {result.task_id}')}")
    return lines


def cut(text: str, cells: int) -> str:
    """One line of at most ``cells`` terminal cells, without control characters."""
    from rich.text import Text

    plain = Text("".join(c if c.isprintable() else " " for c in text))
    plain.truncate(max(cells, 10), overflow="ellipsis")
    return plain.plain


def shortened(text: str, directory: Path) -> str:
    """Paths under ``directory`` without it."""
    return text.replace(f"{directory}/", "")


def end_text(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _preview(result: Result[Any]) -> str:
    if result.error is not None:
        said = f": {result.error.message}" if result.error.message else ""
        return f"{result.error.type.rpartition('.')[2]}{said}"
    return (result.output or b"").decode(errors="replace")


def _names(agents: Sequence[AgentInfo]) -> str:
    return ", ".join(f"{agent.name} {_dim(f'v{agent.version}')}" for agent in agents)


def _columns(stream: IO[str]) -> int:
    return shutil.get_terminal_size().columns if stream.isatty() else COLUMNS_DEFAULT


def _dim(text: str) -> str:
    return click.style(text, dim=True)


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _ok(text: str) -> str:
    return click.style(text, fg="green")


def _bad(text: str) -> str:
    return click.style(text, fg="red")
