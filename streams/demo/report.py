"""The end of the demo as a person reads it: results, costs, proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from textwrap import shorten

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.demo.run import Outcome, Spent
from streams.demo.watch import Findings

DOCUMENTS_SHOWN = 5
KEYWORDS_SHOWN = 4
NAME_CHARACTERS = 24
SUMMARY_CHARACTERS = 72
SMOOTH = 0.01
"""Weight of a word that is in every document, as all are of a single one."""
WIDTH = 100


def show(outcome: Outcome) -> None:
    """Print the report on stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    console.print(
        Group(
            _title("Results", _of_documents(outcome)),
            _results(outcome.found),
            _title("Costs", "committed with the results, exact to the millionth"),
            _costs(outcome.spent),
            _title(
                "Proof", "all topics read from offset 0, against the list of what was submitted"
            ),
            _proof(outcome),
        )
    )


def _title(name: str, more: str) -> Text:
    return Text.assemble("\n", (name, "bold"), (f"  {more}", "dim"))


def _of_documents(outcome: Outcome) -> str:
    shown = min(DOCUMENTS_SHOWN, len(outcome.found))
    return f"{shown} of {len(outcome.found):,} documents"


def _results(found: Mapping[str, Findings]) -> RenderableType:
    table = _table()
    longest = sorted(found, key=lambda topic: -len(found[topic].summaries))[:DOCUMENTS_SHOWN]
    keywords = _keywords(found)
    for topic in sorted(longest):
        summary = shorten(found[topic].summaries.get(1, ""), SUMMARY_CHARACTERS, placeholder=" …")
        words = ", ".join(keywords[topic][:KEYWORDS_SHOWN])
        table.add_row(
            Text(topic[-NAME_CHARACTERS:], "cyan"), Text.assemble(words, "\n", (summary, "dim"))
        )
    return table


def _keywords(found: Mapping[str, Findings]) -> dict[str, list[str]]:
    """Keywords of each document, best first: scores by tf-idf (Spärck Jones, 1972)."""
    documents = Counter(word for findings in found.values() for word in findings.keywords)

    def weight(findings: Findings, word: str) -> float:
        return findings.keywords[word] * (log(len(found) / documents[word]) + SMOOTH)

    return {
        topic: sorted(findings.keywords, key=lambda word: (-weight(findings, word), word))
        for topic, findings in found.items()
    }


def _costs(spent: Sequence[Spent]) -> RenderableType:
    table = _table(right=(1, 3))
    for one in spent:
        table.add_row(one.agent, f"{one.units:,}", f"× {one.resource}", _dollars(one.amount_micros))
    total = sum(one.amount_micros for one in spent)
    table.add_row("in all", "", "", Text(_dollars(total), "bold"))
    return table


def _proof(outcome: Outcome) -> RenderableType:
    report, crash = outcome.report, outcome.crash
    table = _table(right=(1,))

    def row(holds: bool, what: str, number: str, more: str) -> None:
        sign = Text("✓", "green") if holds else Text("✗", "bold red")
        table.add_row(Text.assemble(sign, f" {what}"), number, Text(more, "dim"))

    row(
        report.answered == report.accepted and not report.lost,
        "submitted = answered",
        f"{report.accepted:,} = {report.answered:,}",
        f"{report.submitted:,} by the demo, {report.caused:,} by digest",
    )
    row(not report.duplicates, "duplicates", f"{report.duplicates:,}", "results beyond the first")
    row(
        not report.torn and not report.found["I5"],
        "torn",
        f"{report.torn:,}",
        "a result without its costs, its tasks or its offset",
    )
    row(not report.order_violations, "out of order", f"{report.order_violations:,}", "within a key")
    row(
        True,
        "recovery",
        f"{outcome.recovery_s:.2f} s",
        f"from the SIGKILL to the next result of its {len(crash.held.ends)} partitions",
    )
    if outcome.ok:
        return table
    return Group(table, Text(f"\n{report.text()}", "red"))


def _table(right: Sequence[int] = ()) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for column in range(4):
        table.add_column(justify="right" if column in right else "left", no_wrap=column == 0)
    return table


def _dollars(micros: int) -> str:
    return f"${micros // 1_000_000:,}.{micros % 1_000_000:06}"
