"""Root file systems made of this machine's own programs, each with the libraries it loads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

LIBRARIES = Path("lib/copied")
"""Where the images look for libraries: the loader's own folders differ between systems."""

_FOUND = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_LOADER = re.compile(r"/ld-[^/]*$")
_SYSTEM = (
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libm.so.6", "libresolv.so.2", "libz.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
"""What manylinux wheels may load from the system, as far as this machine's own need it."""

_STDLIB_LEFT_OUT = ("__pycache__", "test", "tests", "site-packages", "dist-packages", "config-*")


def add_programs(root: Path, names: Iterable[str]) -> None:
    """Copy programs into ``/usr/bin`` with their libraries; ``/bin/sh`` is bash."""
    target = root / "usr/bin"
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        found = shutil.which(name)
        assert found, f"{name} is not on this machine"
        shutil.copy2(Path(found).resolve(), target / name)
        add_libraries(root, [Path(found)])
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/sh").symlink_to("/usr/bin/bash")
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def add_libraries(root: Path, files: Iterable[Path], *, own: Path | None = None) -> None:
    """Copy the shared libraries that ``files`` load, except those below ``own``."""
    for library in {found for file in files for found in _loaded(file)}:
        if own is not None and library.is_relative_to(own):
            continue
        # The kernel finds the loader by its path; it finds the rest by LD_LIBRARY_PATH.
        place = library.relative_to("/") if _LOADER.search(str(library)) else LIBRARIES
        target = root / place if place != LIBRARIES else root / LIBRARIES / library.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library.resolve(), target)


def add_java(root: Path, home: Path) -> None:
    """Copy a Java runtime to ``/opt/java``."""
    shutil.copytree(home, root / "opt/java", symlinks=True)
    files = [home / "bin/java", *home.rglob("*.so")]
    add_libraries(root, files, own=home.resolve())


def add_python(root: Path) -> None:
    """Copy the running interpreter and its standard library to ``/usr/local``."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(sys.base_prefix) / "bin" / version
    programs, stdlib = root / "usr/local/bin", root / "usr/local/lib" / version
    programs.mkdir(parents=True)
    shutil.copy2(interpreter.resolve(), programs / version)
    for name in ("python3", "python"):
        (programs / name).symlink_to(version)
    left_out = shutil.ignore_patterns(*_STDLIB_LEFT_OUT)
    shutil.copytree(sysconfig.get_path("stdlib"), stdlib, ignore=left_out)
    add_libraries(root, [interpreter, *stdlib.rglob("*.so")])
    for library in filter(None, map(_in_cache, _SYSTEM)):
        add_libraries(root, [library])
        shutil.copy2(library.resolve(), root / LIBRARIES / library.name)


def _loaded(file: Path) -> list[Path]:
    listing = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
    return [Path(found) for found in _FOUND.findall(listing)]


def _in_cache(name: str) -> Path | None:
    """The first library of that name in the loader's cache."""
    listing = subprocess.run(
        [shutil.which("ldconfig") or "/sbin/ldconfig", "-p"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(rf"^\s*{re.escape(name)} .*=> (/\S+)$", listing, re.MULTILINE)
    return Path(found[0]) if found else None
