"""The page ``docs/benchmarks.md``, made of the recorded results; and tables for a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.own import CPU, SPINE, TASKS_S
from bench.peers.compare import BIN, PROMISES, STORES
from bench.peers.stores import REDIS_MISSING
from bench.processes import ROOT
from bench.results import RECORDED, Results, Section, load
from bench.series import Series, find
from bench.targets import TARGETS

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
TEXT = ROOT / "bench" / "page.md"
"""What the page says around its tables; ``{{name}}`` stands for one."""
BUSY_LOAD = 1.0
"""Processes that want to run before the first is ours: more, and figures say little."""
Rows = Sequence[Sequence[str]]


def write_page() -> None:
    """Page and plots anew, from the recorded results."""
    PAGE.write_text(page(load(RECORDED), TEXT.read_text("utf-8")), "utf-8")
    PLOTS.mkdir(exist_ok=True)
    subprocess.run([BIN / "python", "-m", "bench.plots", RECORDED, PLOTS], cwd=ROOT, check=True)


def page(results: Results, text: str) -> str:
    """The text with its tables filled in."""
    tables = {
        "surroundings": surroundings(results),
        "targets": targets(results),
        "partitions": pivot(results.get("partitions")),
        "peers": peers(results.get("peers")),
        "peers-fsync": peers(results.get("peers-fsync")),
        "waiting": pivot(results.get("waiting")),
        "answering": pivot(results.get("answering")),
        "submitting": pivot(results.get("submitting")),
        "growing": pivot(results.get("growing")),
        "stages": stages(results.get("stages")),
    }
    for name, found in tables.items():
        text = text.replace(f"{{{{{name}}}}}", found)
    return text


def surroundings(results: Results) -> str:
    """Where and when: a line for each set of parts measured together, then what they share."""
    when: dict[str, list[str]] = {}
    where: dict[str, None] = {}
    for name, section in results.items():
        around = section.around
        busy = ", **on a busy machine: worth little**" if around.load > BUSY_LOAD else ""
        line = (
            f"{around.date}, commit {around.commit}, {around.tasks:,} tasks a run, "
            f"{around.runs} counted; load {around.load} before{busy}"
        )
        when.setdefault(line, []).append(name)
        versions = ", ".join(f"{package} {found}" for package, found in around.versions.items())
        where[f"{around.machine}; {versions}"] = None
    lines = [f"{', '.join(names)}: {line}" for line, names in when.items()] + list(where)
    return "\n".join(f"- {line}." for line in lines)


def targets(results: Results) -> str:
    """What was to be reached, and what was."""
    rows = [row for target in TARGETS if (row := target.row(results)) is not None]
    return table(["figure", "measured", "floor", "aim", "reached"], rows)


def pivot(section: Section | None) -> str:
    """Cases and systems down, figures across."""
    if section is None:
        return "Not measured.\n"
    figures = list(dict.fromkeys(series.figure for series in section.series))
    places = list(dict.fromkeys((series.case, series.system) for series in section.series))
    rows = [
        [case, system, *(_cell(section.series, system, case, figure) for figure in figures)]
        for case, system in places
    ]
    return table(["", "system", *figures], rows)


def peers(section: Section | None) -> str:
    """A table for each class of durability; what promises more stands first."""
    if section is None:
        return "Not measured.\n"
    parts: list[str] = []
    for durability in dict.fromkeys(series.case for series in section.series):
        of_class = [series for series in section.series if series.case == durability]
        systems = dict.fromkeys(series.system for series in of_class)
        rows = [
            [system, STORES[system], PROMISES[system]]
            + [_cell(of_class, system, durability, figure) for figure in (TASKS_S, CPU)]
            for system in sorted(systems, key=lambda name: PROMISES[name] != PROMISES[SPINE])
        ]
        header = ["system", "store", "a task runs", TASKS_S, CPU]
        parts.append(f"**Class: an acknowledged task {durability}**\n\n{table(header, rows)}")
        if not any(STORES[system] == "Redis" for system in systems):
            parts.append(f"{REDIS_MISSING}\n")
    return "\n".join(parts)


def stages(section: Section | None) -> str:
    """Threads, and under each what it does."""
    if section is None:
        return "Not measured.\n"
    rows: list[list[str]] = []
    for series in section.series:
        _, _, rest = series.case.partition(", ")
        party, _, stage = rest.partition(": ")
        rows.append(["" if stage else f"**{party}**", stage, series.text()])
    return table(["thread", "stage", CPU], rows)


def table(header: Sequence[str], rows: Rows) -> str:
    """In Markdown; numbers to the right are left to the reader's program."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def lines(series: Iterable[Series]) -> str:
    """For a terminal."""
    return "\n".join(f"{s.case:28} {s.system:26} {s.figure:26} {s.text()}" for s in series)


def summary(results: Results) -> str:
    """The figures to reach, for a terminal."""
    rows = [row for target in TARGETS if (row := target.row(results)) is not None]
    return "\n".join(f"{row[0]:46} {row[1]:>12}  {' '.join(row[2:])}".rstrip() for row in rows)


def _cell(series: Iterable[Series], system: str, case: str, figure: str) -> str:
    found = find(series, system, case, figure)
    return "" if found is None else found.text()


def plot_files() -> list[Path]:
    """The plots that the page shows."""
    return sorted(PLOTS.glob("*.svg"))


if __name__ == "__main__":
    write_page()
