"""The lane: many seeds, each a storm of faults on the real runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .kept import Kept, kept
from .run import simulate

ROOT = Path(__file__).parents[2]
SEEDS = 2_000 if os.environ.get("CI") else 100


@pytest.mark.timeout(900)
def test_no_seed_breaks_a_promise() -> None:
    """On all processors, in processes with one order of sets, so that a seed is one run."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS)]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("once", kept(), ids=lambda once: once.name)
def test_what_once_failed_holds(once: Kept) -> None:
    assert simulate(once.seed, once.plan).problems == []


def test_a_seed_gives_the_same_run_each_time() -> None:
    first, second = simulate(7), simulate(7)
    assert first.calls > 1_000
    assert (first.digest, first.calls) == (second.digest, second.calls)
    assert simulate(8).digest != first.digest
