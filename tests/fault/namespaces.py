"""A network of its own for some workers: two namespaces of the kernel and the wire between them.

Workers run in one of them. In the other, a proxy listens whose far side is this machine's
loopback: no address of the wire is known outside of the two. What is cut, slow or lossy here is
real TCP with retransmissions, which a proxy on loopback cannot show.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

CLONE_NEWNET = 0x40000000
COMMAND_TIMEOUT_S = 10
# Of the range that is set aside for tests of networks (RFC 2544).
WORKERS_AT, BROKERS_AT, BITS = "198.18.77.1", "198.18.77.2", 30
_NAMES = Path("/run/netns")


class Namespaces:
    """The two namespaces, there inside ``with``; see ``needs`` whether they can be made.

    Their names are drawn, so that several runs do not meet. Raises OSError and
    CalledProcessError.
    """

    def __init__(self) -> None:
        run = secrets.token_hex(4)
        self.workers = f"streams-workers-{run}"
        self.brokers = f"streams-brokers-{run}"

    @property
    def wrap(self) -> Sequence[str]:
        """Words before a command that is to run where the workers are."""
        return ("ip", "netns", "exec", self.workers)

    def open_socket(self) -> socket.socket:
        """A socket that listens at the brokers' end of the wire, on any free port."""
        return _in_namespace(self.brokers)

    # -- faults --------------------------------------------------------------------------

    def cut(self) -> None:
        """Take the wire down: packets are lost both ways, and nobody is told."""
        self._at(self.brokers, "ip", "link", "set", "wire", "down")

    def lose(self, share: float) -> None:
        """Lose this share of the packets in each direction, by chance."""
        if has_netem():
            for namespace in (self.workers, self.brokers):
                self._shape(namespace, "netem", "loss", f"{share:.2%}")
            return
        drop = ["-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
        for namespace in (self.workers, self.brokers):
            self._at(namespace, "iptables", "-A", "INPUT", *drop)

    def delay(self, milliseconds: int) -> None:
        """Let each packet take this much longer, in each direction; needs netem."""
        for namespace in (self.workers, self.brokers):
            self._shape(namespace, "netem", "delay", f"{milliseconds}ms")

    def throttle(self, kbit_per_s: int) -> None:
        """Let through this much in each direction, and queue up to half a second of it."""
        rate = ["rate", f"{kbit_per_s}kbit", "burst", "4kb", "latency", "500ms"]
        for namespace in (self.workers, self.brokers):
            self._shape(namespace, "tbf", *rate)

    def mend(self) -> None:
        """The wire as it was made."""
        self._at(self.brokers, "ip", "link", "set", "wire", "up")
        for namespace in (self.workers, self.brokers):
            with suppress(subprocess.CalledProcessError):  # there was nothing to take away
                self._at(namespace, "tc", "qdisc", "del", "dev", "wire", "root")
            if shutil.which("iptables"):
                self._at(namespace, "iptables", "-F")

    # -- the wire ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            for namespace in (self.workers, self.brokers):
                _run("ip", "netns", "add", namespace)
            peer = ["peer", "name", "wire", "netns", self.brokers]
            _run("ip", "-n", self.workers, "link", "add", "wire", "type", "veth", *peer)
            for namespace, at in ((self.workers, WORKERS_AT), (self.brokers, BROKERS_AT)):
                _run("ip", "-n", namespace, "address", "add", f"{at}/{BITS}", "dev", "wire")
                for device in ("lo", "wire"):
                    _run("ip", "-n", namespace, "link", "set", device, "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        """The wire goes with its namespaces, and these with the last process in them."""
        for namespace in (self.workers, self.brokers):
            if (_NAMES / namespace).exists():
                _run("ip", "netns", "delete", namespace)

    def _shape(self, namespace: str, *discipline: str) -> None:
        self._at(namespace, "tc", "qdisc", "replace", "dev", "wire", "root", *discipline)

    def _at(self, namespace: str, *command: str) -> None:
        _run("ip", "netns", "exec", namespace, *command)


def needs() -> str | None:
    """What keeps namespaces from being made here, None if nothing does."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("ip"):
        return "needs the command ip (Debian: iproute2)"
    try:
        with Namespaces() as namespaces:
            namespaces.open_socket().close()
    except (OSError, subprocess.SubprocessError) as error:
        return f"needs a kernel that lets one make network namespaces: {_said(error)}"
    return None


def has_netem() -> bool:
    """Whether the kernel can delay and lose packets by itself; asked in a namespace, as root."""
    with Namespaces() as namespaces:
        try:
            namespaces._shape(namespaces.workers, "netem", "delay", "1ms")
        except subprocess.CalledProcessError:
            return False
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_TIMEOUT_S)


def _said(error: Exception) -> str:
    told = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    return told.decode(errors="replace").strip() if told else str(error)


def _in_namespace(name: str) -> socket.socket:
    """Listen inside of a namespace. A socket belongs for ever to where it was made."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        # In a thread that ends: the namespace is a property of the thread.
        try:
            with (_NAMES / name).open() as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), name)
            made.append(socket.create_server((BROKERS_AT, 0), backlog=128))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name=f"in-{name}")
    thread.start()
    thread.join()
    (listening,) = made
    if isinstance(listening, OSError):
        raise listening
    return listening
