"""Workers of an older version of the code beside those of today, in one group."""

from __future__ import annotations

import random
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from .fault import Field, Heal, Launch, Missed
from .worker_faults import BACK_S, any_at_work, back

ROOT = Path(__file__).resolve().parents[2]
OLDER = "d0651e7"
"""The oldest commit whose workers understand today's records and maps."""


class OlderVersion:
    """One worker runs the older code for a while, then today's again: an upgrade under load."""

    name = "older-version"
    brokers = frozenset({1, 3})
    pause_s = (3.0, 10.0)

    def __init__(self) -> None:
        self._code: Path | None = None

    @property
    def needs(self) -> str | None:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "cat-file", "-e", f"{OLDER}^{{commit}}"],
            capture_output=True,
            check=False,
        )
        return f"commit {OLDER} in this clone" if found.returncode else None

    def ready(self, field: Field) -> None:
        self._code = field.scratch / "older"
        packed = subprocess.run(
            ["git", "-C", str(ROOT), "archive", OLDER, "streams", "schemas", "pyproject.toml"],
            capture_output=True,
            check=True,
        )
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(self._code, filter="data")

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        slot = any_at_work(field, rng)
        field.affects(slot, field.owned(slot))
        field.restart(slot, Launch(environment={"PYTHONPATH": str(self._code)}))
        joined = field.wait_for(slot, BACK_S)

        def heal() -> None:
            field.restart(slot)
            back(field, slot)
            if not joined:
                raise Missed(f"the older worker owned nothing within {BACK_S:.0f} s")

        return heal

    def close(self) -> None:
        pass
