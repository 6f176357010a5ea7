"""A TCP proxy before each broker that reads Kafka's frames, and loses or delays them as told.

A frame is four bytes of size and then, in a request, the kind (API key), its version, the
correlation id and the client's id; a reply begins with the correlation id of its request.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NamedTuple, Self

import uvloop

from streams.broker.config import HOST, Node
from streams.broker.ports import free_ports

from .listeners import Listener, settings

PRODUCE, FETCH, JOIN_GROUP, HEARTBEAT = 0, 1, 11, 12
ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 25, 26, 28
FRAME_BYTES_MAX = 128 * 1024 * 1024
FRAMES_UNDER_WAY_MAX = 1_000
"""Per connection and direction; beyond them nothing is read, as with a full window of TCP."""
BUFFER_BYTES = 1024 * 1024
STRUCK_MAX = 10_000
HEAD_BYTES = 64
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 10.0

_SIZE = struct.Struct(">i")
_REQUEST = struct.Struct(">hhih")
_CORRELATION = struct.Struct(">i")

_FLEXIBLE = {HEARTBEAT: 4, END_TXN: 3}
"""From which version on a reply begins with tagged fields."""

Side = Literal["request", "reply"]
Line = Literal["open", "held", "refused"]
Queue = asyncio.Queue[tuple[float, bytes]]
"""When a frame is due, on the loop's clock, and its bytes; none at the end."""


class Frame(NamedTuple):
    """What is known of a request or reply; ``head`` are its first bytes without the size."""

    side: Side
    kind: int
    version: int
    client: str
    head: bytes


@dataclass(slots=True, eq=False)
class Rule:
    """What happens to a kind of frame; the first rule that takes a frame decides alone.

    ``kinds`` are API keys, none means every kind. ``hang_up`` ends the connection instead of
    forwarding; with a delay a request still reaches the broker, when its client has long tried
    again. ``share`` of the matching frames are struck, by chance, at most ``times``.
    """

    side: Side
    kinds: frozenset[int] = frozenset()
    delay_s: float = 0.0
    drop: bool = False
    hang_up: bool = False
    share: float = 1.0
    times: int | None = None
    client: str = ""
    """Only of clients with this in their id; a worker's is its transactional id."""
    struck: deque[Frame] = field(default_factory=lambda: deque[Frame](maxlen=STRUCK_MAX))
    hits: int = 0

    def takes(self, frame: Frame, rng: random.Random) -> bool:
        """Whether the rule strikes this frame; if so it is noted."""
        if frame.side != self.side or (self.kinds and frame.kind not in self.kinds):
            return False
        if self.client not in frame.client or (self.times is not None and self.hits >= self.times):
            return False
        if self.share < 1.0 and rng.random() >= self.share:
            return False
        self.hits += 1
        self.struck.append(frame)
        return True


def loopback_socket() -> socket.socket:
    """A socket that listens on any free port of the loopback address."""
    return socket.create_server((HOST, 0), backlog=128)


class Proxy:
    """Stands before one or three brokers; runs in a thread of its own inside ``with``.

    Brokers reach it through ``properties``, clients through ``bootstrap``. What is set from
    other threads holds from the next frame on. ``open_socket`` makes its listening sockets.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        name: str = "PROXY",
        open_socket: Callable[[], socket.socket] = loopback_socket,
        seed: int = 0,
    ) -> None:
        self._name = name
        self._sockets = {n: open_socket() for n in range(1, brokers + 1)}
        self._behind: dict[int, int] = {}
        self._rng = random.Random(seed)
        self._rules: tuple[Rule, ...] = ()
        self._line: Line = "open"
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{name}", daemon=True)
        self._stopping = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[Connection] = set()
        self.touched = 0
        """Frames that a rule has struck or that were held, and connections that were refused."""

    @property
    def bootstrap(self) -> str:
        """``host:port`` of each broker behind the proxy, separated by commas."""
        return ",".join(self._address(n) for n in self._sockets)

    def listener(self, node: Node) -> Listener:
        """The broker's listener for the proxy, on a port chosen anew at each call."""
        (self._behind[node.id],) = free_ports(1)
        return Listener(self._name, self._behind[node.id], self._address(node.id))

    def properties(self, node: Node) -> dict[str, str]:
        """Settings that make the broker send whoever comes through the proxy back to it."""
        return settings(node, [self.listener(node)])

    # -- faults (any thread) -------------------------------------------------------------

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules

    @rules.setter
    def rules(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)

    def hold(self) -> None:
        """Forward nothing, keep connections and take new ones: packets are lost."""
        self._switch("held")

    def refuse(self) -> None:
        """End every connection, and each new one at once: nobody is there."""
        self._switch("refused")

    def mend(self) -> None:
        """Forward again what comes and what was held, by no rule."""
        self.rules = ()
        self._switch("open")

    def rule_for(self, frame: Frame) -> Rule | None:
        """The rule that strikes this frame."""
        rule = next((rule for rule in self._rules if rule.takes(frame, self._rng)), None)
        self.touched += rule is not None
        return rule

    # -- the thread ----------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_TIMEOUT_S)
        assert not self._thread.is_alive(), "the proxy does not end"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        servers = [
            await asyncio.start_server(
                lambda r, w, n=n: self._accept(n, r, w), sock=listening, limit=BUFFER_BYTES
            )
            for n, listening in self._sockets.items()
        ]
        await self._stopping.wait()
        for server in servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()

    async def _accept(
        self, n: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._line == "refused" or self._stopping.is_set():
            self.touched += 1
            writer.transport.abort()
            return
        connection = Connection(self, writer, self._flowing)
        self._connections.add(connection)
        try:
            await connection.run(reader, self._behind[n])
        finally:
            self._connections.discard(connection)

    def _switch(self, line: Line) -> None:
        def switch() -> None:
            self._line = line
            if line == "held":
                self._flowing.clear()
            else:
                self._flowing.set()
            if line == "refused":
                self.touched += len(self._connections)
                for connection in list(self._connections):
                    connection.abort()

        self._loop.call_soon_threadsafe(switch)

    def _address(self, n: int) -> str:
        host, port = self._sockets[n].getsockname()
        return f"{host}:{port}"


class Connection:
    """A client's connection and the one to its broker; frames keep their order."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        self._proxy = proxy
        self._client = client
        self._flowing = flowing
        self._broker: asyncio.StreamWriter | None = None
        self._asked: dict[int, Frame] = {}

    def abort(self) -> None:
        """End both sides at once."""
        self._client.transport.abort()
        if self._broker is not None:
            self._broker.transport.abort()

    async def run(self, reader: asyncio.StreamReader, port: int) -> None:
        """Forward in both directions until one of the ends closes, then close the other.

        What a client had sent before it closed still goes to the broker, late if it was
        delayed or held: so does a kernel, also for a client that gave up or was killed.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                from_broker, self._broker = await asyncio.open_connection(
                    HOST, port, limit=BUFFER_BYTES
                )
        except OSError:
            self.abort()
            return
        loop = asyncio.get_running_loop()
        there: Queue = asyncio.Queue(FRAMES_UNDER_WAY_MAX)
        back: Queue = asyncio.Queue(FRAMES_UNDER_WAY_MAX)
        requests = loop.create_task(self._write(there, self._broker))
        replies = loop.create_task(self._read("reply", from_broker, back))
        others = [
            loop.create_task(self._read("request", reader, there)),
            loop.create_task(self._write(back, self._client)),
        ]
        try:
            await asyncio.wait([requests, replies], return_when=asyncio.FIRST_COMPLETED)
            if requests.done() and not self._broker.is_closing():
                # An abort would take back what has not left yet; the broker closes in answer.
                self._broker.write_eof()
                await asyncio.wait([replies], timeout=CLOSE_TIMEOUT_S)
        finally:
            self.abort()
            for task in (requests, replies, *others):
                task.cancel()
            await asyncio.gather(requests, replies, *others, return_exceptions=True)

    async def _read(self, side: Side, reader: asyncio.StreamReader, queue: Queue) -> None:
        now = asyncio.get_running_loop().time
        due = 0.0
        with suppress(OSError, EOFError):
            while True:
                head = await reader.readexactly(_SIZE.size)
                (size,) = _SIZE.unpack(head)
                if not _CORRELATION.size <= size <= FRAME_BYTES_MAX:
                    break
                payload = await reader.readexactly(size)
                frame = self._request(payload) if side == "request" else self._reply(payload)
                rule = self._proxy.rule_for(frame)
                due = max(due, now() + (rule.delay_s if rule is not None else 0.0))
                if rule is None or not (rule.drop or rule.hang_up):
                    await queue.put((due, head + payload))
                elif rule.hang_up and rule.delay_s and side == "request":
                    await queue.put((due, head + payload))
                    self._client.transport.abort()
                    break
                elif rule.hang_up:
                    self.abort()
                    break
        await queue.put((due, b""))

    async def _write(self, queue: Queue, writer: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time
        with suppress(OSError):
            while True:
                due, data = await queue.get()
                if (left_s := due - now()) > 0:
                    await asyncio.sleep(left_s)
                if not self._flowing.is_set():
                    self._proxy.touched += 1
                    await self._flowing.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()

    def _request(self, payload: bytes) -> Frame:
        kind, version, correlation, length = _REQUEST.unpack_from(payload)
        client = payload[_REQUEST.size : _REQUEST.size + max(length, 0)].decode(errors="replace")
        frame = Frame("request", kind, version, client, payload[:HEAD_BYTES])
        self._asked[correlation] = frame
        return frame

    def _reply(self, payload: bytes) -> Frame:
        (correlation,) = _CORRELATION.unpack_from(payload)
        return self._asked.pop(correlation)._replace(side="reply", head=payload[:HEAD_BYTES])


def error_of(reply: Frame) -> int:
    """The error code in this reply to EndTxn or Heartbeat; 0 if the broker did as asked."""
    assert reply.version < _FLEXIBLE[reply.kind], f"version {reply.version} has another layout"
    (error,) = struct.unpack_from(">h", reply.head, _CORRELATION.size + 4)  # behind the throttle
    return error
