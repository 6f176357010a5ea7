"""What a handler is given: its task, and the ways to act that its transaction covers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from streams.address import Address
from streams.errors import DefinitionError, StreamsError

if TYPE_CHECKING:
    from datetime import datetime
    from logging import Logger

    from streams.records import Task

T = TypeVar("T")
In = TypeVar("In")

RUNNING: ContextVar[Context] = ContextVar("streams.running")
"""The context of the task that runs here; the worker sets it around each handler."""


class Context(Protocol):
    """A task in execution, from its start to the handler's return; of no use after it."""

    @property
    def task(self) -> Task:
        """The task as it was submitted."""
        ...

    @property
    def attempt(self) -> int:
        """Which execution of the task this is, counted from 1."""
        ...

    @property
    def deadline(self) -> datetime:
        """When the task expires, in UTC."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this task: for calls to services that deduplicate."""
        ...

    @property
    def log(self) -> Logger: ...

    @staticmethod
    def current() -> Context:
        """The context of the task in which this is called; StreamsError outside of tasks.

        For code that a framework calls without passing the context on. It is not seen from a
        thread of the handler's own, unless ``asyncio.to_thread`` started it.
        """
        try:
            return RUNNING.get()
        except LookupError:
            raise StreamsError(
                "Context.current() was called outside of a task",
                hint="call it from a handler, or pass the handler's ctx as an argument",
            ) from None

    async def use(self, dependency: Dependency[T], /) -> T:
        """The dependency's value, opened once per worker at its first use."""
        ...

    def charge(
        self, resource: str, *, amount_micros: int, units: int = 1, kind: str = "tool"
    ) -> None:
        """Record an exact cost, in millionths of the currency; written with the result."""
        ...

    async def submit(self, agent: Address[In, Any], input: In, *, key: str | None = None) -> str:
        """Submit a task when and only when this one ends well; returns its id.

        Tasks with the same ``key`` run in order; the default is the new task's own id.
        Raises InputInvalid and InputTooLarge.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dependency(Generic[T]):
    """Something that handlers share, made by ``dependency``; see ``Context.use``."""

    name: str
    fn: Callable[[], AsyncIterator[T]]

    @property
    def source(self) -> str:
        """Where it is defined: ``file:line``."""
        return source_of(self.fn)


def dependency(fn: Callable[[], AsyncIterator[T]], /) -> Dependency[T]:
    """Make a dependency of an async generator function that yields exactly once.

    What stands before the ``yield`` opens it, the first time a handler of a worker asks for
    it; what stands after it closes it, when the worker has drained. Raises DefinitionError for
    any other function, and for one with parameters.
    """
    name = getattr(fn, "__name__", repr(fn))
    if not inspect.isasyncgenfunction(fn):
        raise DefinitionError(
            f"dependency '{name}' is not an async generator function",
            hint=f"write: async def {name}(): ...; yield value; ...",
            where=source_of(fn),
        )
    if inspect.signature(fn).parameters:
        raise DefinitionError(
            f"dependency '{name}' has parameters, but nobody could give them",
            hint="read settings inside of it",
            where=source_of(fn),
        )
    return Dependency(name, fn)


def source_of(fn: object) -> str:
    """``file:line`` of a function, empty for anything else."""
    code = getattr(inspect.unwrap(fn) if callable(fn) else fn, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""
