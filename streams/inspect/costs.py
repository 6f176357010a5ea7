"""Sums of what tasks cost, in exact integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streams.catalog import Catalog, read_from
from streams.errors import RecordUndecodable, TopicMissing, UsageError
from streams.inspect.show import Decoder
from streams.ports import Clock, Log
from streams.records import Cost
from streams.topics import Topics

DIMENSIONS = {
    "agent": "agent",
    "tenant": "tenant",
    "worker": "worker_id",
    "run": "run_id",
    "task": "task_id",
    "kind": "kind",
    "resource": "resource",
}
"""What costs can be summed by → the field of the record."""


def parse_dimensions(text: str) -> list[str]:
    """``agent,tenant`` as a list; UsageError for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in DIMENSIONS:
            raise UsageError(
                f"costs cannot be summed by '{name}'", hint=f"by {', '.join(DIMENSIONS)}"
            )
    return list(dict.fromkeys(names))


def costs_since(
    log: Log, topics: Topics, catalog: Catalog, clock: Clock, since_ms: int
) -> Iterator[Cost]:
    """The settled costs that were written since a time; TopicMissing; blocks."""
    info = log.admin().topics([topics.costs]).get(topics.costs)
    if info is None:
        raise TopicMissing(
            f"topic '{topics.costs}' does not exist",
            hint=f"`streams topic apply PATH{topics.option}` makes it",
        )
    decoder = Decoder(catalog)
    offsets = log.admin().offsets_at(topics.costs, range(info.partitions), since_ms)
    for record in read_from(log, topics.costs, offsets, clock):
        try:
            cost = decoder.decode(record.value() or b"")
        except RecordUndecodable:
            continue
        if isinstance(cost, Cost) and cost.state == "settled":
            yield cost


def report(costs: Iterable[Cost], by: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each combination that occurs, and for each currency; the dearest first."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for cost in costs:
        group = (*(str(getattr(cost, DIMENSIONS[name])) for name in by), cost.currency)
        total = sums.setdefault(group, [0, 0, 0])
        total[0] += 1
        total[1] += cost.units
        total[2] += cost.amount_micros
    rows: list[dict[str, Any]] = [
        dict(zip((*by, "currency"), group, strict=True))
        | {"charges": charges, "units": units, "amount": amount(micros), "amount_micros": micros}
        for group, (charges, units, micros) in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row["amount_micros"], [row[name] for name in by]))


def amount(micros: int) -> str:
    """Micro-units as a decimal with six places, exactly."""
    sign = "-" if micros < 0 else ""
    return f"{sign}{abs(micros) // 1_000_000}.{abs(micros) % 1_000_000:06d}"
