"""The wheel, really built: it holds the package and its data, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the wheel by name, with what they hold."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: dict[str, bytes], name: str) -> str:
    return wheel[f"agentstreams-{PROJECT['version']}.dist-info/{name}"].decode()


def test_it_holds_the_package_whole(wheel: dict[str, bytes]) -> None:
    source = ROOT / "streams"
    files = {
        str(path.relative_to(ROOT))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel if name.startswith("streams/")}
    assert "streams/py.typed" in packed
    assert {name for name in packed if not name.startswith("streams/_data/")} == files


@pytest.mark.parametrize(("folder", "suffix"), [("schemas", ".avsc"), ("agents", ".py")])
def test_it_holds_the_data(wheel: dict[str, bytes], folder: str, suffix: str) -> None:
    files = {path.name for path in (ROOT / folder).glob(f"*{suffix}")}
    start = f"streams/_data/{folder}/"
    assert files
    assert {name.removeprefix(start) for name in wheel if name.startswith(start)} == files


def test_it_holds_nothing_else(wheel: dict[str, bytes]) -> None:
    # Least of all a top-level ``agents``, which belongs to another distribution.
    tops = {name.partition("/")[0] for name in wheel}
    assert tops == {"streams", f"agentstreams-{PROJECT['version']}.dist-info"}


def test_it_says_what_it_needs_and_offers(wheel: dict[str, bytes]) -> None:
    head = HeaderParser().parsestr(metadata(wheel, "METADATA"))
    assert head["Requires-Python"] == ">=3.11"
    assert head["License-Expression"] == "Apache-2.0"
    base = [need for need in head.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert len(base) == len(PROJECT["dependencies"])
    assert metadata(wheel, "licenses/LICENSE")
    points = metadata(wheel, "entry_points.txt")
    assert "streams = streams.cli:main" in points
    assert "streams = streams.testing.plugin" in points
