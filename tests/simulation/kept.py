"""Plans that once failed, as files: each is run for ever."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streams.testing import faults
from streams.testing.faults import Fault

FOLDER = Path(__file__).parent / "kept"


@dataclass(frozen=True, slots=True)
class Kept:
    """A seed with the shortest plan that failed, and what it found."""

    name: str
    seed: int
    found: str
    plan: Sequence[Fault]


def kept() -> list[Kept]:
    """All of them, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.json"))]


def keep(name: str, seed: int, found: str, plan: Sequence[Fault]) -> Path:
    """Write one; the plan as it is, so that it survives other drawings of the seed."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    records = [{"fault": type(fault).__name__, **asdict(fault)} for fault in plan]  # type: ignore[call-overload]
    path.write_text(json.dumps({"seed": seed, "found": found, "plan": records}, indent=2) + "\n")
    return path


def _read(path: Path) -> Kept:
    record = json.loads(path.read_text())
    return Kept(path.stem, record["seed"], record["found"], [_fault(f) for f in record["plan"]])


def _fault(record: dict[str, Any]) -> Fault:
    fields = {name: value for name, value in record.items() if name != "fault"}
    return getattr(faults, record["fault"])(**fields)
