"""Every call of a client as a value, and the faults a test puts before or after it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from streams.errors import LogError


class Call(NamedTuple):
    """A call of a client: once before it takes effect, once after.

    ``client`` is the client id, the transactional id, or ``producer``, ``reader``, ``admin``.
    ``process`` is the name given to :meth:`MemoryLog.process`, empty for the log's own clients.
    ``method`` is the port's method, or ``deliver`` (arguments as ``produce``): what becomes of
    a produced record at the broker; an error there is the record's delivery report.
    """

    client: str
    method: str
    args: tuple[object, ...]
    applied: bool
    process: str = ""


Fault = Callable[[Call], None]
"""Raises :class:`LogError` to make a call fail: with ``applied`` false nothing happened, with
``applied`` true it happened and the answer was lost. Errors of ``consume`` are messages, so they
arrive in ``Consumed.errors`` and take no record away."""


class Faults:
    """The faults in force, asked in order."""

    def __init__(self) -> None:
        self.hooks: list[Fault] = []

    def tell(self, client: Client, method: str, args: tuple[object, ...], *, applied: bool) -> None:
        """Give every hook its chance to raise."""
        if self.hooks:
            call = Call(client.id, method, args, applied, client.process)
            for hook in tuple(self.hooks):
                hook(call)

    @contextmanager
    def around(self, client: Client, method: str, *args: object) -> Generator[None, None, None]:
        """Hooks before and after the body; not after a body that raised."""
        self.tell(client, method, args, applied=False)
        yield
        self.tell(client, method, args, applied=True)


@dataclass(eq=False)
class Client:
    """What the log knows of the process behind a consumer or producer.

    ``silent_since`` is the time from which it sends no heartbeats; a dead one can do nothing.
    """

    id: str
    process: str = ""
    silent_since: float | None = None
    joining: bool = False
    """It was about to join when it fell silent."""
    dead: bool = False

    def require_alive(self) -> None:
        """Raise ``_DESTROY`` for a client whose process was killed or closed."""
        if self.dead:
            raise LogError("_DESTROY", f"{self.id} is dead", fatal=True)
