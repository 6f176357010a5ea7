"""What commands print: data on stdout in three forms."""

from __future__ import annotations

import json
from decimal import Decimal

import click
import pytest
from click.testing import CliRunner

from streams.cli.output import emit, output, say

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
