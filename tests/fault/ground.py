"""The ground on which storms are: what stands between workers and brokers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .fault import Ground, OpenGround


@contextmanager
def ground_of(brokers: int, seed: str) -> Iterator[Ground]:
    """The ground for a cluster of this size; ``seed`` is for what it does by chance."""
    yield OpenGround()
