"""Agents: a typed async function with its policies, as a value. Importing one has no effect."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast, get_type_hints, overload

from streams.address import Address, check_name
from streams.context import Context, source_of
from streams.errors import DefinitionError
from streams.policies import Duration, Retry, seconds
from streams.records import Ordering

In = TypeVar("In")
Out = TypeVar("Out")
Handler = Callable[[Context, In], Coroutine[Any, Any, Out]]

CONCURRENCY_MAX = 100_000
_FIX = "write: async def {name}(ctx: Context, input: In) -> Out, with your own types"
_RETRY_DEFAULT = Retry()


@dataclass(frozen=True, slots=True)
class Policy:
    """How the tasks of an agent are run; checked as a whole when made (DefinitionError).

    ``concurrency`` is how many tasks of the agent one worker runs at once; ``ordering`` "key"
    runs tasks of one key one after the other; ``timeout_s`` bounds one attempt.
    """

    version: str = "1"
    concurrency: int = 100
    ordering: Ordering = "key"
    retry: Retry = _RETRY_DEFAULT
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        version = cast("object", self.version)
        if not isinstance(version, str) or not version:
            raise DefinitionError(
                f"version={version!r} is not a text", hint='for example version="2"'
            )
        concurrency = cast("object", self.concurrency)
        whole = isinstance(concurrency, int) and not isinstance(concurrency, bool)
        if not whole or not 1 <= self.concurrency <= CONCURRENCY_MAX:
            raise DefinitionError(
                f"concurrency={concurrency!r} is not a whole number from 1 to {CONCURRENCY_MAX}",
                hint="it is how many tasks of the agent one worker runs at once",
            )
        if self.ordering not in ("key", "none"):
            raise DefinitionError(
                f"ordering={self.ordering!r} is unknown",
                hint='ordering="key" runs tasks of one key in order, ordering="none" does not',
            )
        if not isinstance(self.retry, Retry):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DefinitionError(
                f"retry={self.retry!r} is not a Retry", hint="for example retry=Retry(attempts=5)"
            )
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise DefinitionError(
                f"timeout={self.timeout_s:g} leaves no time",
                hint="give the seconds of one attempt, or leave it out",
            )


@dataclass(frozen=True)
class Agent(Address[In, Out]):
    """A named, versioned definition: an async function of one typed input to one typed output.

    It is made by ``agent``. Calling it runs the function here and now, without its policies:
    inside another handler, or in a unit test.
    """

    fn: Handler[In, Out]
    policy: Policy

    def __call__(self, ctx: Context, input: In, /) -> Coroutine[Any, Any, Out]:
        return self.fn(ctx, input)

    @property
    def version(self) -> str:
        return self.policy.version

    @property
    def concurrency(self) -> int:
        return self.policy.concurrency

    @property
    def ordering(self) -> Ordering:
        return self.policy.ordering

    @property
    def retry(self) -> Retry:
        return self.policy.retry

    @property
    def timeout_s(self) -> float | None:
        return self.policy.timeout_s

    @cached_property
    def description(self) -> str:
        """The first paragraph of the function's docstring, on one line."""
        return " ".join((inspect.getdoc(self.fn) or "").split("\n\n")[0].split())

    @cached_property
    def source(self) -> str:
        """Where it is defined: ``file:line``."""
        return source_of(self.fn)


@overload
def agent(fn: Handler[In, Out], /) -> Agent[In, Out]: ...


@overload
def agent(
    *,
    name: str | None = None,
    version: str = "1",
    concurrency: int = 100,
    ordering: Ordering = "key",
    retry: Retry = ...,
    timeout: Duration | None = None,
) -> Callable[[Handler[In, Out]], Agent[In, Out]]: ...


def agent(
    fn: Handler[In, Out] | None = None,
    /,
    *,
    name: str | None = None,
    version: str = "1",
    concurrency: int = 100,
    ordering: Ordering = "key",
    retry: Retry = _RETRY_DEFAULT,
    timeout: Duration | None = None,
) -> Agent[In, Out] | Callable[[Handler[In, Out]], Agent[In, Out]]:
    """Make an agent of ``async def f(ctx: Context, input: In) -> Out``.

    The name is the function's with ``_`` as ``-``, unless given. A task is run by at most
    ``concurrency`` at once per worker, in order per key unless ``ordering="none"``, and each
    attempt ends after ``timeout`` (seconds). Raises DefinitionError with file, line and remedy.
    """

    def define(fn: Handler[In, Out]) -> Agent[In, Out]:
        # Names local to the function in which the agent is defined are found in its frame.
        return _define(fn, name, make_policy, sys._getframe(1).f_locals)  # pyright: ignore[reportPrivateUsage]

    def make_policy() -> Policy:
        timeout_s = None if timeout is None else seconds(timeout, "timeout")
        return Policy(version, concurrency, ordering, retry, timeout_s)

    if fn is None:
        return define
    return _define(fn, name, make_policy, sys._getframe(1).f_locals)  # pyright: ignore[reportPrivateUsage]


def _define(
    fn: Handler[In, Out],
    name: str | None,
    make_policy: Callable[[], Policy],
    local: Mapping[str, Any],
) -> Agent[In, Out]:
    if not inspect.isfunction(fn):
        raise DefinitionError(
            f"@agent stands over {fn!r}, which is not a function",
            hint=_FIX.format(name="answer"),
        )
    where = source_of(fn)
    chosen = fn.__name__.replace("_", "-") if name is None else name
    try:
        _check_kind(fn)
        check_name(chosen, "the name of an agent")
        input_type, output_type = _types(fn, local)
        policy = make_policy()
    except DefinitionError as error:
        message = f"agent '{fn.__name__}': {error.message}"
        raise DefinitionError(message, hint=error.hint, where=where) from None
    return Agent(chosen, cast("type[In]", input_type), cast("type[Out]", output_type), fn, policy)


def _check_kind(fn: types.FunctionType) -> None:
    fix = _FIX.format(name=fn.__name__)
    if inspect.isasyncgenfunction(fn):
        raise DefinitionError("it yields, but an agent returns one output", hint=fix)
    if not inspect.iscoroutinefunction(fn):
        raise DefinitionError(
            "it is not async; blocking work goes to a thread: await asyncio.to_thread(...)",
            hint=fix,
        )
    code = inspect.unwrap(fn).__code__
    starred = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    if code.co_argcount != 2 or code.co_kwonlyargcount or starred:
        raise DefinitionError("it does not take exactly a context and one input", hint=fix)


def _types(fn: types.FunctionType, local: Mapping[str, Any]) -> tuple[Any, Any]:
    """The types of input and output; annotations may be texts (``from __future__ ...``)."""
    target = inspect.unwrap(fn)
    fix = _FIX.format(name=fn.__name__)
    context_name, input_name = target.__code__.co_varnames[:2]
    try:
        annotations = target.__annotations__
        for name in (context_name, input_name, "return"):
            if name not in annotations:
                what = "its output" if name == "return" else f"parameter '{name}'"
                raise DefinitionError(f"{what} has no annotation", hint=fix)

        def carrier() -> None: ...

        # The context's annotation is not looked up: it may be imported for type checkers only.
        carrier.__annotations__ = {name: annotations[name] for name in (input_name, "return")}
        # A copy: evaluation adds to the mapping that it is given.
        names = {**target.__globals__, **local}
        hints = get_type_hints(carrier, globalns=names, include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"an annotation names '{error.name}', which is not defined here",
            hint=f"define or import '{error.name}' above the agent, and not only for type checkers",
        ) from None
    except (SyntaxError, TypeError, AttributeError) as error:
        raise DefinitionError(f"an annotation is no type: {error}", hint=fix) from None
    if hints[input_name] is Context:
        raise DefinitionError("the context comes first, then the input", hint=fix)
    return hints[input_name], hints["return"]
