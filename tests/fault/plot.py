"""The plot: goodput over time with the faults marked, as an SVG of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, ROW, MARGIN, HEAD, TICKS = 1_000, 170, 60, 28, 26
COLOURS = [
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7"),
    *("#9c755f", "#bab0ac", "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2"),
    *("#7f7f7f", "#bcbd22", "#17becf", "#aec7e8", "#98df8a", "#c5b0d5", "#c49c94", "#dbdb8d"),
]
SMOOTH_S = 3
"""Goodput is drawn as the mean of so many seconds."""


def plot(storms: Sequence[Mapping[str, Any]]) -> str:
    """One row per storm; ``storms`` as in the results of a run."""
    kinds = sorted({fault["kind"] for storm in storms for fault in storm["faults"]})
    colours = {kind: COLOURS[n % len(COLOURS)] for n, kind in enumerate(kinds)}
    legend = HEAD + 18 * -(-len(kinds) // 5)
    height = legend + len(storms) * (ROW + HEAD + TICKS) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for n, (kind, colour) in enumerate(colours.items()):
        x, y = MARGIN + n % 5 * 185, 16 + n // 5 * 18
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="{y}">{escape(kind)}</text>')
    for n, storm in enumerate(storms):
        parts += _row(storm, legend + n * (ROW + HEAD + TICKS), colours)
    return "\n".join([*parts, "</svg>", ""])


def smooth(series: Sequence[float], width: int = SMOOTH_S) -> list[float]:
    """The mean over ``width`` values around each."""
    half = width // 2
    spans = (series[max(0, n - half) : n + half + 1] for n in range(len(series)))
    return [sum(span) / len(span) for span in spans]


def _row(storm: Mapping[str, Any], top: int, colours: Mapping[str, str]) -> list[str]:
    goodput = smooth(storm["goodput"])
    seconds, most = max(1, len(goodput)), max([1.0, *goodput])
    scale = (WIDTH - MARGIN - 10) / seconds
    base = top + HEAD + ROW
    brokers = storm["brokers"]
    title = f"{brokers} broker{'s' * (brokers > 1)}, {storm['tasks']:,} tasks"
    parts = [f'<text x="{MARGIN}" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    for fault in storm["faults"]:
        x = MARGIN + fault["at_s"] * scale
        width = max(1.0, fault["lasted_s"] * scale)
        parts.append(
            f'<rect x="{x:.1f}" y="{top + HEAD}" width="{width:.1f}" height="{ROW}" '
            f'fill="{colours[fault["kind"]]}" opacity="0.35">'
            f"<title>{escape(fault['kind'])}: {escape(fault['target'])}</title></rect>"
        )
    points = " ".join(
        f"{MARGIN + n * scale:.1f},{base - value / most * ROW:.1f}"
        for n, value in enumerate(goodput)
    )
    parts.append(f'<polyline points="{points}" fill="none" stroke="black" stroke-width="1"/>')
    for part in (0.0, 0.5, 1.0):
        y = base - part * ROW
        parts.append(
            f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{most * part:,.0f}/s</text>'
        )
    step = max(10, round(seconds / 10, -1)) or 10
    for second in range(0, seconds + 1, int(step)):
        x = MARGIN + second * scale
        parts.append(f'<text x="{x:.1f}" y="{base + 14}" text-anchor="middle">{second} s</text>')
    return parts
