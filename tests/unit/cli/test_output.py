"""What commands print: data on stdout in three forms."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import click
import pytest
from click.testing import CliRunner

from streams.cli.output import emit, emit_one, output, say

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
    assert lines[3] == ["input", '{"a": 1}']


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
