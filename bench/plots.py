"""``python -m bench.plots RESULTS FOLDER``: the page's plots, as small SVG files.

Runs in the environment of ``bench/requirements.lock``, and so without this project's package.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

RATE = "tasks/s"
CPU = "CPU per task, µs"
OWN = "agentstreams"
COLOUR, OTHER = "#2a6f97", "#b8c4cc"


def main(results: Path, folder: Path) -> None:
    """One file for each section that has a plot."""
    # Text stays text, and the same results give the same bytes.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9})
    found = json.loads(results.read_text())
    for section in ("partitions", "peers"):
        if section in found:
            grouped(found[section]["series"], folder / f"{section}.svg")
    if "stages" in found:
        stages(found["stages"]["series"], folder / "stages.svg")


def grouped(series: list[dict[str, Any]], file: Path) -> None:
    """Tasks per second, a panel for each case, with the range of the runs."""
    rates = [one for one in series if one["figure"] == RATE]
    cases = list(dict.fromkeys(one["case"] for one in rates))
    rows = max(sum(one["case"] == case for one in rates) for case in cases)
    figure, axes = plt.subplots(
        1, len(cases), figsize=(8, 0.6 + 0.32 * rows), sharey=True, squeeze=False
    )
    for axis, case in zip(axes[0], cases, strict=True):
        shown = [one for one in rates if one["case"] == case][::-1]
        medians = [statistics.median(one["values"]) for one in shown]
        spread = [
            [m - min(one["values"]) for m, one in zip(medians, shown, strict=True)],
            [max(one["values"]) - m for m, one in zip(medians, shown, strict=True)],
        ]
        colours = [COLOUR if one["system"] == OWN else OTHER for one in shown]
        names = [one["system"] for one in shown]
        axis.barh(names, medians, xerr=spread, color=colours, error_kw={"lw": 0.8})
        finish(axis, f"{case}: {RATE}")
    save(figure, file)


def stages(series: list[dict[str, Any]], file: Path) -> None:
    """CPU per task, one bar for each stage, darker for the event loop."""
    shown = [one for one in series if ": " in one["case"]][::-1]
    names = [one["case"].partition(", ")[2] for one in shown]
    figure, axis = plt.subplots(figsize=(8, 0.6 + 0.2 * len(shown)))
    colours = [COLOUR if name.startswith("event loop") else OTHER for name in names]
    axis.barh(names, [one["values"][0] for one in shown], color=colours)
    finish(axis, CPU)
    save(figure, file)


def finish(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_locator(plt.MaxNLocator(5))


def save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
