"""The lane in short: some seeds; all of them are ``make sim``, and CI runs that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .kept import Kept, kept
from .run import simulate

ROOT = Path(__file__).parents[2]
SEEDS = 60


@pytest.mark.timeout(300)
def test_no_seed_breaks_a_promise() -> None:
    """In processes with one order of sets, so that a seed is one run."""
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
