"""Renders ``docs/reliability.md`` from the results of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .results import violations_of

CHECKED = {
    "I1": "no accepted task is lost",
    "I2": "one result per task",
    "I3": "nothing is invented, and each task ends as what it is told to do must",
    "I4": "a result, its costs, children, dead letter and offset come together or not at all",
    "I5": "costs add up exactly, per tenant and overall",
    "I8": "tasks of one key run one after the other",
    "I13": "a partition with open tasks goes on within 60 s of healing; no attempt outlasts its "
    "deadline; a worker ends only if asked, in time, or by what a task does to it",
    "I14": "a poison delays no other key by more than one retry interval",
    "I16": "a dead worker is shown as dead within session + 5 s, a live one never for long",
    "I17": "files, threads, clients, memory, disk of workers that survive stay where they were",
}
VIOLATIONS_MAX = 50


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def render(results: Mapping[str, Any], plot: str) -> str:
    """The page; ``plot`` is the name of the SVG beside it."""
    return "\n".join(
        [
            *_head(results, plot),
            *_recovery(results),
            *_scenarios(results),
            *_rules(results),
            *_left_out(results),
        ]
    )


def _head(results: Mapping[str, Any], plot: str) -> list[str]:
    storms = results["storms"]
    tasks = sum(storm["tasks"] for storm in storms)
    faults = sum(len(storm["faults"]) for storm in storms)
    uncertain = sum(storm["uncertain"] for storm in storms)
    seconds = sum(storm["seconds"] for storm in storms)
    starts = sum(storm["worker_starts"] for storm in storms)
    machine, versions = results["machine"], results["versions"]
    found = len(violations_of(results))
    missed = sum(storm["missed"] for storm in storms)
    return [
        "# Reliability",
        "",
        "What workers kept of their promises while faults struck them under load, on real brokers.",
        "This page is written by `make fault`, from the topics and from a log of submissions that",
        "the submitter kept on its own disk.",
        "",
        f"**{tasks:,} tasks and {faults:,} faults in {seconds / 60:.0f} minutes: "
        f"{found:,} violations.**",
        "",
        f"Three workers, 12 partitions, clusters of one broker and of three. {starts:,} worker",
        f"processes were started. {uncertain:,} submissions were never acknowledged: they may have",
        "arrived or not, and those that had arrived ended like the others. A fault counts if it",
        f"met a worker with partitions, or requests that passed; {missed:,} more met nothing.",
        "",
        f"- machine: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}; brokers, workers and load together",
        "- versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()),
        f"- seed `{results['seed']}`; the same seed strikes the same faults in the same order",
        f"- begun {results['began']}",
        "",
        f"![Goodput over time, with the faults marked]({plot})",
        "",
    ]


def _recovery(results: Mapping[str, Any]) -> list[str]:
    by_kind: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for storm in results["storms"]:
        for fault in storm["faults"]:
            by_kind.setdefault((fault["kind"], storm["brokers"]), []).append(fault)
    lines = [
        "## Recovery",
        "",
        "*Back* is the time until every partition that was hit had a result of an attempt that",
        "began after the strike, or after the heal where nothing can go on before (a single broker",
        "that is away). *Pause* is the longest time for which one of these partitions had open",
        "tasks and no result. The next fault often strikes while the last is being recovered from;",
        "both times hold that too. Seconds.",
        "",
        "| fault | brokers | times | back p50 | p90 | max | pause p50 | p90 | max |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (kind, brokers), faults in sorted(by_kind.items()):
        back = _spread(fault["back_s"] for fault in faults)
        pause = _spread(fault["pause_s"] for fault in faults)
        lines.append(f"| {kind} | {brokers} | {len(faults)} | {back} | {pause} |")
    return [*lines, ""]


def _spread(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "- | - | -"
    spread = quantile(known, 0.5), quantile(known, 0.9), max(known)
    return " | ".join(f"{value:.1f}" for value in spread)


def _scenarios(results: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Deliberate stops and poison",
        "",
        "Each in a deployment of its own.",
        "",
        "| scenario | expected | tasks | met |",
        "|---|---|---|---|",
    ]
    for scene in results["scenarios"]:
        met = "no" if scene["violations"] else "yes"
        lines.append(f"| {scene['name']} | {scene['expected']} | {scene['tasks']:,} | {met} |")
    return [*lines, ""]


def _rules(results: Mapping[str, Any]) -> list[str]:
    found = violations_of(results)
    counts = {rule: sum(1 for v in found if v["invariant"] == rule) for rule in CHECKED}
    lines = ["## What was checked", "", "| rule | always true | violations |", "|---|---|---|"]
    lines += [f"| {rule} | {what} | {counts[rule]:,} |" for rule, what in CHECKED.items()]
    lines += ["", *(_violation(violation) for violation in found[:VIOLATIONS_MAX])]
    return lines if not found else [*lines, ""]


def _violation(violation: Mapping[str, str]) -> str:
    return f"- {violation['invariant']}, {violation['where']}: {violation['message']}"


def _left_out(results: Mapping[str, Any]) -> list[str]:
    left = results["left_out"]
    if not left:
        return []
    lines = ["## Left out", "", "What could not be struck on this machine, and what it needs.", ""]
    return [*lines, *(f"- {each['name']}: {each['needs']}" for each in left), ""]
