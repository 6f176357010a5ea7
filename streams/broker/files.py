"""Files of the embedded Kafka: locks between processes, and places that cannot be written."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from streams.errors import KafkaFailed


@contextmanager
def writing(path: Path, elsewhere: str) -> Generator[None, None, None]:
    """KafkaFailed for an OSError inside; the hint ``elsewhere`` says what moves ``path``."""
    try:
        yield
    except OSError as error:
        raise KafkaFailed(
            f"{path} cannot be written: {error.strerror or error}", hint=elsewhere
        ) from error


@contextmanager
def exclusive(path: Path, busy: str, elsewhere: str) -> Generator[None, None, None]:
    """Hold ``path`` as a lock between processes; it is released when its holder dies.

    Its directory is made. While another holds it, ``busy`` is said on stderr. Raises KafkaFailed
    with the hint ``elsewhere`` if it cannot be written.
    """
    with writing(path.parent, elsewhere):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{busy}; waiting", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
