"""Planted bugs, each of which the simulation must find: a suite that cannot fail proves nothing.

Each is a patch in ``planted/``, named after what it does. Lines ``Found-by: RULE`` before its
diff say how a problem begins that it must cause (see ``found.first_by``): one that fails in another
way, because the code has changed under it, proves nothing. ``Found-at: SEED`` is where it was found
last: hunting begins there, and comes to the seeds before it afterwards. ``make mutants`` (``python
-m tests.simulation.mutants``) applies each to a copy of the package, runs seeds until one breaks
its rule, and prints what gave it away.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).parent / "planted"
SEEDS_MAX = 2_000
"""As many as `make sim` runs."""
TIMEOUT_S = 1_000
FOUND_BY, FOUND_AT = "Found-by: ", "Found-at: "


class Found(NamedTuple):
    """What gave a planted bug away: after how many seeds, which one, and what it broke.

    Or if it was not ``found`` the last seed that failed by another rule (-1: none) and its problem.
    """

    seeds: int
    seed: int
    problem: str
    found: bool


def planted() -> list[Path]:
    """The patches, by name."""
    return sorted(PLANTED.glob("*.patch"))


def rules(patch: Path) -> list[str]:
    """What it must be found by; ValueError if it does not say."""
    said = _said(patch, FOUND_BY)
    if not said:
        raise ValueError(f"{patch.name} has no line '{FOUND_BY}…' before its diff")
    return said


def begin(patch: Path) -> int:
    """The seed at which hunting for it begins."""
    return next(map(int, _said(patch, FOUND_AT)), 0)


def _said(patch: Path, word: str) -> list[str]:
    head = patch.read_text().partition("\n--- ")[0]
    return [line.removeprefix(word) for line in head.splitlines() if line.startswith(word)]


def plant(patch: Path, folder: Path) -> None:
    """A copy of the package with this bug; CalledProcessError if the code changed under it."""
    package = folder / "streams"
    shutil.copytree(ROOT / "streams", package, ignore=shutil.ignore_patterns("__pycache__"))
    for data in ("schemas", "agents"):
        shutil.copytree(ROOT / data, package / "_data" / data)
    subprocess.run(["git", "apply", str(patch)], cwd=folder, check=True)


def hunt(patch: Path, seeds: int = SEEDS_MAX) -> Found:
    """Run seeds on a package with this bug until one breaks its rule."""
    first = min(begin(patch), seeds)
    later = _hunt(patch, first, seeds - first)
    if later.found or not first:
        return later
    return _hunt(patch, 0, first)


def _hunt(patch: Path, first: int, seeds: int) -> Found:
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        plant(patch, folder)
        command = [sys.executable, "-P", "-m", "tests.simulation", "--json"]
        command += ["--first", str(first), "--seeds", str(seeds), "--until", *rules(patch)]
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([name, str(ROOT)]), "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Print the table; exit 1 if a planted bug survives."""
    patches, survivors = planted(), 0
    for patch in patches:
        found = hunt(patch)
        survivors += not found.found
        name = patch.stem.replace("-", " ")
        if found.found:
            print(f"✓ {name:48}  seed {found.seed:<4} {found.problem[:90]}", flush=True)
        else:
            other = f"; seed {found.seed}: {found.problem[:90]}" if found.problem else ""
            print(f"✗ {name:48}  survived {found.seeds} seeds{other}", flush=True)
    print(f"{len(patches) - survivors} of {len(patches)} planted bugs found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
