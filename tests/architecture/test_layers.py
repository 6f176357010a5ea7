"""The layers of the package, as ``pyproject.toml`` states them, hold; and their check works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the package in ``tree`` by the contracts there."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )


def test_the_layers_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "finding"),
    [
        ("ids.py", "import streams.topics", "streams.ids is not allowed to import streams.topics"),
        (
            "core/retry.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import streams.kafka",
            "streams.core is not allowed to import streams.kafka",
        ),
        ("core/retry.py", "import time", "streams.core is not allowed to import time"),
        ("client/client.py", "import confluent_kafka", "streams.client.client -> confluent_kafka"),
        ("client/client.py", "import streams.worker", "not allowed to import streams.worker"),
        ("extra.py", "", "streams.extra"),
    ],
)
def test_an_arrow_that_points_up_is_found(
    tmp_path: Path, module: str, line: str, finding: str
) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "streams", tmp_path / "streams", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "streams" / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert finding in done.stdout
