"""The worker's image beside the cluster of the compose file."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import pytest
from docker.models.containers import Container

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

END_S_MAX = 90


def test_the_image_runs_the_command_as_an_ordinary_user(worker: Callable[..., Container]) -> None:
    container = worker("--version")
    assert outcome(container) == f"streams {version('agentstreams')}"
    container.reload()
    assert container.attrs["Config"]["User"] == "10001:10001"


def outcome(container: Container) -> str:
    """What the container printed, once it has ended well."""
    ended = container.wait(timeout=END_S_MAX)
    assert ended["StatusCode"] == 0, container.logs().decode()
    return container.logs(stderr=False).decode().strip()
