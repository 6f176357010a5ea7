"""The data folders are found in an editable install, in the wheel and in a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from streams.errors import DataMissing
from streams.resources import data_folder

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {path.name for path in (ROOT / "schemas").glob("*.avsc")}
ASK = """
import streams.resources
print(streams.resources.__file__)
print(streams.resources.data_folder("schemas"))
print(streams.resources.data_folder("agents"))
"""


def places(path: Path | None, cwd: Path) -> list[Path]:
    """(module, schemas, agents) as a fresh interpreter finds them, with ``path`` put first."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=cwd, env=env, check=True, capture_output=True, text=True
    )
    return [Path(line).resolve() for line in done.stdout.splitlines()]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in (".avsc", ".py")}


def test_the_editable_install_uses_the_folders_that_are_edited(tmp_path: Path) -> None:
    module, schemas, agents = places(None, tmp_path)
    assert module == ROOT / "streams" / "resources.py"
    assert (schemas, agents) == (ROOT / "schemas", ROOT / "agents")
    assert files(schemas) == SCHEMAS


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, really built, unpacked into a folder of its own."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_the_wheel_brings_its_own_folders(wheel: Path, tmp_path: Path) -> None:
    module, schemas, agents = places(wheel, tmp_path)
    assert module == wheel / "streams" / "resources.py"
    assert (schemas, agents) == (wheel / "streams/_data/schemas", wheel / "streams/_data/agents")
    assert files(schemas) == SCHEMAS
    assert files(agents) == files(ROOT / "agents")


def test_the_wheel_puts_nothing_beside_the_package(wheel: Path) -> None:
    assert {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"} == {"streams"}


def test_a_plain_checkout_is_enough(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("streams", "schemas", "agents"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    module, schemas, agents = places(checkout, tmp_path)
    assert module == checkout / "streams" / "resources.py"
    assert (schemas, agents) == (checkout / "schemas", checkout / "agents")


def test_a_stranger_beside_the_installed_package_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "streams").mkdir()
    (tmp_path / "agents").mkdir()
    with pytest.raises(DataMissing, match="'agents' of the package is missing") as caught:
        data_folder("agents", package=tmp_path / "streams")
    assert "pip install" in caught.value.hint
