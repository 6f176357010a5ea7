"""Which lanes run here: on a laptop those that can, with ``CI`` set all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator

import pytest

CI = bool(os.environ.get("CI"))
_LEFT_OUT = pytest.StashKey[str]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the containers lane out where no engine answers; in CI that is an error."""
    lane = [item for item in items if item.get_closest_marker("containers")]
    if not lane or (reason := _no_engine()) is None:
        return
    if CI:
        raise pytest.UsageError(f"the containers lane must run in CI, but {reason}")
    items[:] = [item for item in items if item not in lane]
    config.hook.pytest_deselected(items=lane)
    config.stash[_LEFT_OUT] = f"containers: {len(lane)} tests left out, {reason}"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if left_out := config.stash.get(_LEFT_OUT, None):
        terminalreporter.section("lanes left out")
        terminalreporter.line(left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is a failure in CI: whatever is not run there is run nowhere."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {call.excinfo and call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that is skipped."""
    report = yield
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: skipped, which CI does not allow"
    return report


def _no_engine() -> str | None:
    """Why containers cannot be run, or None if an engine answers.

    Asked in a process of its own: the library leaves sockets open when nothing answers.
    """
    asked = subprocess.run(
        [sys.executable, "-c", "import docker; docker.from_env().ping()"],
        capture_output=True,
        check=False,
    )
    return "no Docker engine answers" if asked.returncode else None
