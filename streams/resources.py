"""Where the package's own data folders are: record schemas and the agents that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from streams.errors import DataMissing

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: Literal["schemas", "agents"], *, package: Path = _PACKAGE) -> Path:
    """The folder ``name``: inside an installed package, else beside it in the source tree.

    ``package`` is the folder of the package ``streams``. Raises DataMissing.
    """
    root = package.parent
    places = [package / "_data" / name]
    # Beside an installed package stand strangers: site-packages may well hold an ``agents``.
    if (root / "pyproject.toml").is_file():
        places.append(root / name)
    for place in places:
        if place.is_dir():
            return place
    raise DataMissing(
        f"the folder '{name}' of the package is missing; looked for {', '.join(map(str, places))}",
        hint="install the package again: pip install --force-reinstall agentstreams",
    )
