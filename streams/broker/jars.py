"""The jars of Apache Kafka: locked by sha256, downloaded once per user, checked at every start."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from streams.broker.files import exclusive, writing
from streams.errors import ExtraMissing, KafkaFailed

KAFKA_VERSION = "4.4.0"
LOCK = Path(__file__).with_name("jars.lock")

_DOWNLOADS_MAX = 4
_TIMEOUT_S = 60

Advance = Callable[[int], None]
"""Told how many bytes have arrived; any thread may call it."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of the class path; ``coordinate`` is ``group:artifact:version``."""

    coordinate: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    def matches(self, path: Path) -> bool:
        """Whether ``path`` holds exactly this jar."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except (FileNotFoundError, NotADirectoryError):
            return False


def read_lock(path: Path) -> list[Jar]:
    """The jars of a lock file: one ``coordinate size sha256`` a line, ``#`` for comments."""
    rows = (line.split() for line in path.read_text().splitlines() if not line.startswith("#"))
    return [Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in rows]


def write_lock(path: Path, jars: Iterable[Jar]) -> None:
    lines = [f"{jar.coordinate} {jar.size} {jar.sha256}" for jar in jars]
    path.write_text("# Written by python -m streams.broker.lock\n" + "\n".join(lines) + "\n")


def cache_dir() -> Path:
    """The user's cache of this package; ``STREAMS_CACHE`` moves it."""
    if given := os.environ.get("STREAMS_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "agentstreams"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentstreams"


def classpath(cache: Path | None = None, lock: Path = LOCK) -> list[Path]:
    """The jars as files, downloaded if they are not in the cache or not what the lock says.

    Raises KafkaFailed when a jar cannot be had or kept, ExtraMissing without the extra ``kafka``.
    """
    jars = read_lock(lock)
    home = (cache or cache_dir()) / f"kafka-{KAFKA_VERSION}"
    if missing_in(home, jars):
        busy = f"another process downloads Apache Kafka {KAFKA_VERSION}"
        elsewhere = "STREAMS_CACHE names another directory for it"
        with exclusive(home / ".lock", busy, elsewhere), writing(home, elsewhere):
            if missing := missing_in(home, jars):  # another process may have been first
                _download(home, missing)
    return [home / jar.filename for jar in jars]


def missing_in(home: Path, jars: Sequence[Jar]) -> list[Jar]:
    """The jars that ``home`` does not hold byte for byte."""

    def held(jar: Jar) -> bool:
        return jar.matches(home / jar.filename)

    with ThreadPoolExecutor(_DOWNLOADS_MAX) as pool:
        return [jar for jar, ok in zip(jars, pool.map(held, jars), strict=True) if not ok]


def _download(home: Path, jars: Sequence[Jar]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix=".part-", dir=home) as part,
        _progress(len(jars), sum(jar.size for jar in jars)) as advance,
        ThreadPoolExecutor(_DOWNLOADS_MAX) as pool,
    ):
        fetches = [pool.submit(_fetch, jar, home, Path(part), advance) for jar in jars]
        try:
            for fetch in fetches:
                fetch.result()
        finally:
            pool.shutdown(cancel_futures=True)  # after one failure the rest is not tried


def _fetch(jar: Jar, home: Path, part: Path, advance: Advance) -> None:
    """Download one jar aside, check it, and only then move it into place."""
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise ExtraMissing("kafka", "the embedded Kafka") from None

    @contextmanager
    def callback(filename: str, total: int) -> Generator[Advance, None, None]:
        yield advance

    context = MavenContext(
        resolver=PythonResolver(progress_callback=callback), repo_cache=part, timeout=_TIMEOUT_S
    )
    context.remote_repos = {**GlobalSettings.load().repositories, **context.remote_repos}
    group, artifact, version = jar.coordinate.split(":")
    try:
        # OSError covers the HTTP client's errors; jgo says "in no repository" by RuntimeError.
        path = context.project(group, artifact).at_version(version).artifact().resolve()
    except (OSError, RuntimeError) as error:
        raise KafkaFailed(
            f"cannot download {jar.coordinate}: {_cause(error)}",
            hint="connect to the network once (repositories and mirrors: jgo's settings), or copy "
            f"{home} from a machine where `streams kafka up` has run",
        ) from error
    if not jar.matches(path):
        raise KafkaFailed(
            f"{jar.coordinate}: what was downloaded is not what the lock names (sha256)",
            hint="try again; if it stays so, a proxy or mirror changes the file",
        )
    os.replace(path, home / jar.filename)


def _cause(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def _progress(count: int, size: int) -> Generator[Advance, None, None]:
    """A bar on a terminal, else one line at the start and one at the end; always on stderr."""
    what = f"Apache Kafka {KAFKA_VERSION}"
    if not sys.stderr.isatty():
        _say(sys.stderr, f"downloading {what}: {count} jars, {size / 1e6:.0f} MB")
        yield lambda done: None
        _say(sys.stderr, f"downloaded {what}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(f"downloading {what}", total=size)
        yield lambda done: bar.advance(task, done)


def _say(stream: IO[str], line: str) -> None:
    print(line, file=stream, flush=True)
