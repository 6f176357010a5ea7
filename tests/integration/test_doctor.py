"""``streams doctor`` with a broker, without one, and with one that does not answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from streams.broker.ports import free_ports

pytestmark = pytest.mark.integration

STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]
AGENT = """
from streams import Context, agent

@agent
async def greet(ctx: Context, name: str) -> str:
    return f"hello {name}"
"""


def streams(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STREAMS_")}
    return subprocess.run(
        [*STREAMS, *arguments], cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=90
    )


def checks(run: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(run.stdout)}


def test_a_deployment_that_works_has_no_failures(kafka: str, tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text(AGENT)
    env = {"STREAMS_BOOTSTRAP": kafka, "STREAMS_PREFIX": f"d{uuid.uuid4().hex[:8]}"}
    empty = streams("doctor", "-o", "json", cwd=tmp_path, **env)
    assert empty.returncode == 0, empty.stdout
    assert "none of this deployment yet" in checks(empty)["topics"]["detail"]

    assert streams("topic", "apply", "greet.py", cwd=tmp_path, **env).returncode == 0
    run = streams("doctor", "-o", "json", cwd=tmp_path, **env)
    found = checks(run)
    assert run.returncode == 0, run.stdout
    assert found["bootstrap"]["detail"] == f"{kafka} (from STREAMS_BOOTSTRAP)"
    for name in ("broker", "clock", "agent greet", "rights", "group greet"):
        assert found[name]["verdict"] == "ok", found[name]

    # A task that nobody takes; and looking has not disturbed the topics.
    assert streams("task", "submit", "greet", '"Ada"', cwd=tmp_path, **env).returncode == 0
    waiting = checks(streams("doctor", "-o", "json", cwd=tmp_path, **env))["group greet"]
    assert waiting["verdict"] == "warn"
    assert "1 behind" in waiting["detail"]


def test_without_a_broker_it_says_how_to_get_one_and_exits_with_3(tmp_path: Path) -> None:
    run = streams("doctor", "-o", "table", cwd=tmp_path)
    assert run.returncode == 3
    assert "fail  broker" in run.stdout
    assert "hint: streams dev" in run.stdout
    assert "\x1b" not in run.stdout


def test_a_broker_that_does_not_answer_is_exit_3(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    run = streams("doctor", "-o", "json", cwd=tmp_path, STREAMS_BOOTSTRAP=address)
    assert run.returncode == 3
    assert address in checks(run)["broker"]["detail"]


def test_a_setting_that_makes_no_sense_is_exit_1(tmp_path: Path) -> None:
    run = streams("doctor", "-o", "json", cwd=tmp_path, STREAMS_BOOTSTRAP="nonsense")
    assert run.returncode == 1
    assert checks(run)["settings"]["verdict"] == "fail"
