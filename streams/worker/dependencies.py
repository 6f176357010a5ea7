"""Opens each dependency once per worker, at first use, and closes all on drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar, cast

from streams.context import Dependency
from streams.errors import DefinitionError

T = TypeVar("T")
log = logging.getLogger("streams.worker")


class Dependencies:
    """The open dependencies of one worker; ``replaced`` holds fakes for tests."""

    def __init__(self, replaced: Mapping[Dependency[Any], object] | None = None) -> None:
        self._replaced = replaced or {}
        self._opening: dict[Dependency[Any], asyncio.Task[Any]] = {}
        self._open: list[tuple[Dependency[Any], AsyncIterator[Any]]] = []

    async def use(self, dependency: Dependency[T]) -> T:
        """The value; all who ask while it is being opened wait for the same opening.

        A failed opening is raised to everyone who waited, and tried again at the next use.
        """
        if dependency in self._replaced:
            return cast(T, self._replaced[dependency])
        opening = self._opening.get(dependency)
        if opening is None:
            opening = asyncio.create_task(self._start(dependency))
            self._opening[dependency] = opening
        try:
            # A handler that is cut off must not cancel the opening that others wait for.
            return await asyncio.shield(opening)
        except BaseException:
            if opening.done() and (opening.cancelled() or opening.exception() is not None):
                self._opening.pop(dependency, None)
            raise

    async def close(self) -> None:
        """Close in the reverse order of opening; an error of one does not keep another open."""
        while self._open:
            dependency, iterator = self._open.pop()
            try:
                async for _ in iterator:
                    raise DefinitionError(
                        f"dependency '{dependency.name}' yields more than once",
                        where=dependency.source,
                    )
            except Exception:
                log.exception("closing dependency '%s'", dependency.name)
        self._opening.clear()

    async def _start(self, dependency: Dependency[T]) -> T:
        iterator = dependency.fn()
        try:
            value = await anext(iterator)
        except StopAsyncIteration:
            raise DefinitionError(
                f"dependency '{dependency.name}' ends without a yield", where=dependency.source
            ) from None
        self._open.append((dependency, iterator))
        return value
