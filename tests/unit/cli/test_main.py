"""How the command line fails, and that asking it for help is cheap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from streams import cli
from streams.errors import Conflict, LogError, SettingsInvalid, StreamsError


def use(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``streams broken`` a command that raises ``error``."""

    @click.command()
    def broken() -> None:
        raise error

    module = type(sys)("streams_broken_command")
    module.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.NOUNS, "broken", (f"{module.__name__}:broken", "Fails."))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StreamsError("it broke"), 1),
        (SettingsInvalid("it broke"), 2),
        (Conflict("it broke"), 5),
    ],
)
def test_a_mistake_is_one_line_and_its_exit_code(
    error: StreamsError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, error)
    assert cli.run(["broken"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error[{error.code}]: it broke\n"


def test_a_remedy_follows_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, StreamsError("it broke", hint="mend it"))
    cli.run(["broken"])
    assert capsys.readouterr().err == "error[E0000]: it broke\nhint: mend it\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, KeyboardInterrupt())
    assert cli.run(["broken"]) == 130


def test_an_exception_that_is_no_mistake_of_the_user_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.run(["broken"])


def test_an_unknown_noun_is_a_usage_error_with_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["kafak"]) == 2
    assert "Did you mean 'kafka'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["kafka", "up", "--brokers", "2"], ["kafka", "up", "--no"]])
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    assert cli.run(arguments) == 2


def test_version_names_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("streams 0.")


def test_every_noun_can_be_loaded_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for noun in cli.NOUNS:
        assert cli.run([noun, "--help"]) == 0
        assert "Usage: streams " + noun in capsys.readouterr().out


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from streams.cli import run; run(['--help']);"
        "print('\\n', *sys.modules, file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    modules = set(run.stderr.split())
    heavy = ("confluent_kafka", "fastavro", "jgo", "pydantic", "requests", "rich", "asyncio")
    assert "streams.cli" in modules
    assert not modules & set(heavy)
    assert not [name for name in modules if name.startswith("streams.cli.")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task", "submit"], "error[E0001]: Missing argument 'AGENT'.\nhint: streams task submit"),
        (["topik"], "error[E0001]: No such command 'topik'. Did you mean 'topic'?\n"),
        (["submit"], "error[E0001]: No such command 'submit'. Did you mean 'task submit'?\n"),
        (["up"], "error[E0001]: No such command 'up'. Did you mean 'kafka up'?\n"),
        (["kafka", "up", "--port", "x"], "error[E0001]: Invalid value for '--port'"),
    ],
)
def test_words_that_are_not_understood_are_errors_of_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)


def test_a_broker_that_goes_away_is_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, LogError("_TRANSPORT", "connection refused"))
    assert cli.run(["broken"]) == 3
    assert capsys.readouterr().err.startswith("error[E0300]: ")
    use(monkeypatch, LogError("COORDINATOR_LOAD_IN_PROGRESS"))
    assert cli.run(["broken"]) == 3
    assert "is not ready: COORDINATOR_LOAD_IN_PROGRESS" in capsys.readouterr().err
    use(monkeypatch, LogError("LEADER_NOT_AVAILABLE", "no broker leads partition 0"))
    assert cli.run(["broken"]) == 3
    use(monkeypatch, LogError("TOPIC_AUTHORIZATION_FAILED"))
    assert cli.run(["broken"]) == 1


@pytest.mark.parametrize(
    "words",
    [
        "agent list",
        "cost report",
        "dead list",
        "doctor",
        "group list",
        "task list --agent greet",
        "task submit greet ann",
        "topic list",
        "worker list",
    ],
)
def test_where_no_broker_is_known_every_command_ends_with_3(
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STREAMS_")]:
        monkeypatch.delenv(name)
    assert cli.run(words.split()) == 3
    out, err = capsys.readouterr()
    assert "no Kafka broker is known" in out + err
