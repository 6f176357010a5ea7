"""What commands print: data on stdout in three forms."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import click
import pytest
from click.testing import CliRunner

from streams.cli import dead as cli_dead
from streams.cli import group as cli_group
from streams.cli import submit as cli_submit
from streams.cli import task as cli_task
from streams.cli import worker as cli_worker
from streams.cli.output import Row, emit, emit_one, output, say

ROWS = [
    {"name": "a[bold]", "offset": 1, "note": None},
    {"name": "b", "offset": 12_345, "note": Decimal("0.10")},
]


@click.command()
@output
def rows() -> None:
    say("two rows follow")
    emit(ROWS, columns=("name", "offset"))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(rows, arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == "two rows follow\n"
    return result.stdout


def test_jsonl_is_the_default_where_no_terminal_is() -> None:
    assert run() == run("-o", "jsonl")
    assert [json.loads(line)["offset"] for line in run().splitlines()] == [1, 12_345]


def test_json_is_one_list_of_whole_rows() -> None:
    assert json.loads(run("-o", "json"))[1] == {"name": "b", "offset": 12_345, "note": "0.10"}


def test_a_table_shows_the_columns_asked_for_and_the_data_as_they_are() -> None:
    header, first, second = (line.split() for line in run("-o", "table").splitlines())
    assert header == ["name", "offset"]
    assert first == ["a[bold]", "1"]
    assert second == ["b", "12345"]


def test_an_unknown_form_is_refused() -> None:
    assert CliRunner().invoke(rows, ["-o", "xml"]).exit_code == 2


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_no_rows_print_nothing(form: str) -> None:
    @click.command()
    @output
    def none() -> None:
        emit([])

    assert CliRunner().invoke(none, ["-o", form]).stdout == ""


def one(form: str) -> str:
    @click.command()
    @output
    def thing() -> None:
        emit_one(
            {"task_id": "t", "done": True, "at": "2020-01-31T12:00:00.000Z", "input": {"a": 1}}
        )

    return CliRunner().invoke(thing, ["-o", form]).stdout


def test_one_thing_is_an_object_or_a_line_for_each_field() -> None:
    assert json.loads(one("jsonl")) == json.loads(one("json"))
    assert one("jsonl").count("\n") == 1
    lines = [
        line.split(None, 1) for line in one("table").replace("task id", "task_id").splitlines()
    ]
    assert lines[0] == ["task_id", "t"]
    assert lines[1] == ["done", "true"]
    assert lines[3:] == [["input"], ["a", "1"]]


def test_a_table_shows_times_briefly_and_under_the_heading_given() -> None:
    @click.command()
    @output
    def times() -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        emit([{"at": "2020-01-31T12:00:00.000Z"}, {"at": now}], ["at=when"])

    header, old, new = CliRunner().invoke(times, ["-o", "table"]).stdout.splitlines()
    assert header.strip() == "when"
    assert re.fullmatch(r"2020-0[12]-\d\d \d\d:\d\d", old.strip())
    assert re.fullmatch(r"\d\d:\d\d:\d\d", new.strip())


IDS = [f"01a2057c-8d9a-7d8e-8855-{number:012x}" for number in range(6)]


class Screen(io.StringIO):
    """A terminal, as far as a command can tell."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)


def shown(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """The lines of a table on a terminal."""

    @click.command()
    @output
    def command() -> None:
        emit(rows, columns)

    with contextlib.redirect_stdout(Screen()) as screen:
        command.main([], standalone_mode=False)
    return screen.getvalue().splitlines()


LISTS = {
    "task list": cli_task._LIST,
    "task submit": cli_submit._SENT,
    "dead list": cli_dead._LIST,
    "dead redrive": cli_dead._PLAN,
    "worker list": cli_worker._LIST,
    "group get": cli_group._GET,
}


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("words", sorted(LISTS))
def test_on_a_narrow_terminal_an_id_stands_on_one_line(words: str) -> None:
    names = [column.partition("=")[0] for column in LISTS[words]]
    free = {
        "error": "a long story about what went wrong " * 3,
        "agents": [f"agent-{n}" * 3 for n in range(5)],
    }
    ids = {"id", "task_id", "new_task_id", "worker", "key", "host"}
    rows = [{name: free.get(name, id if name in ids else "value") for name in names} for id in IDS]
    lines = shown(rows, LISTS[words])
    for id in IDS:
        # Each of the columns with an id shows it whole, and on the same line.
        assert [line.count(id) for line in lines if id in line] == [len(ids & set(names))]


@pytest.mark.usefixtures("narrow")
def test_a_list_of_tasks_fits_a_terminal_of_80_cells() -> None:
    row = {
        "task_id": IDS[0],
        "status": "succeeded",
        "submitted_at": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "took_s": 0.123,
        "attempt": 1,
        "key": None,
        "reason": "",
    }
    lines = shown([row], cli_task._LIST)
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("narrow")
def test_free_text_is_folded_to_what_the_terminal_has_left() -> None:
    error = "something went wrong with it " * 5
    lines = shown([{"id": IDS[0], "error": error}], ["id", "error"])
    assert max(map(len, lines)) <= 80
    assert len(lines) > 2
    assert " ".join(" ".join(line[38:].split()) for line in lines[1:]) == error.strip()
