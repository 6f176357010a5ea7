"""Worker processes kept running in their slots, and the truth about when each lived and died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .fault import PLAIN, Launch

STREAMS = ("-P", "-c", "from streams.cli import main; main()")
"""``-P``: the folder in which this runs must not hide the version that PYTHONPATH names."""
AGENTS = Path(__file__).with_name("agents.py")
RSS_MAX = 700 * 2**20
"""Bytes of a worker: beyond it is killed, as a machine short of memory would."""
DRAIN_S = 10.0
END_S = 40.0
POLL_S = 0.05
SAMPLE_S = 2.0
STARTS_MAX = 2_000
"""Starts of workers in one deployment; more would be a loop."""


class Sample(NamedTuple):
    """What a process holds at one moment (seconds since the epoch)."""

    at: float
    files: int
    """Without connections."""
    connections: int
    threads: int
    """Without those of Kafka clients."""
    clients: int
    """Kafka clients."""
    client_threads: int
    rss_bytes: int


@dataclass(slots=True)
class Life:
    """One start of a worker process; times in seconds since the epoch."""

    slot: str
    pid: int
    started: float
    log: Path
    launch: Launch = PLAIN
    ended: float | None = None
    code: int | None = None
    killed: bool = False
    """By us, with SIGKILL."""
    asked: bool = False
    """To drain, by us."""
    overran: bool = False
    """It was asked, and had not ended END_S later."""
    stops: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When SIGSTOP held it."""
    samples: list[Sample] = field(default_factory=list[Sample])


@dataclass(slots=True)
class _Slot:
    launch: Launch = PLAIN
    process: subprocess.Popen[bytes] | None = None
    life: Life | None = None
    again_at: float | None = None
    """When it is started again (monotonic); None: not before somebody does."""
    kept: bool = False
    """Whether it is started again when it dies by itself."""


class Workers:
    """The supervisor: starts, signals and restarts. One thread watches; any other may call."""

    def __init__(
        self, environment: Mapping[str, str], scratch: Path, agents: Path = AGENTS
    ) -> None:
        self._agents = agents
        self._environment = {**os.environ, **environment}
        self._scratch = scratch
        self.lives: list[Life] = []
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._sampled = 0.0
        self._thread = threading.Thread(target=self._watch, name="supervisor")
        self._thread.start()

    # -- what faults do --------------------------------------------------------------------

    def start(self, slot: str, launch: Launch = PLAIN) -> None:
        """Start a worker in an empty slot, and keep it running."""
        with self._lock:
            held = self._slots.setdefault(slot, _Slot())
            assert held.process is None, f"slot {slot} runs already"
            held.launch, held.kept = launch, True
            self._spawn(slot, held)

    def kill(self, slot: str, again_s: float | None) -> None:
        """SIGKILL, and start it again after ``again_s``; nothing if the slot is empty."""
        with self._lock:
            held = self._slots[slot]
            if held.process is None:
                held.kept = again_s is not None
                held.again_at = None if again_s is None else time.monotonic() + again_s
                return
            self._kill(held)
            held.process.wait()
            held.kept = again_s is not None
            self._bury(held, again_s or 0.0)

    def stop(self, slot: str) -> None:
        """SIGSTOP; nothing if the slot is empty."""
        with self._lock:
            held = self._slots[slot]
            if held.process is not None and held.life is not None:
                held.process.send_signal(signal.SIGSTOP)
                held.life.stops.append((time.time(), float("inf")))

    def go_on(self, slot: str) -> None:
        """SIGCONT; nothing if it is not stopped."""
        with self._lock:
            held = self._slots[slot]
            if held.process is not None and held.life is not None and held.life.stops:
                held.process.send_signal(signal.SIGCONT)
                since, until = held.life.stops[-1]
                held.life.stops[-1] = (since, min(until, time.time()))

    def end(self, slot: str, keep: bool) -> None:
        """Drain it and wait for its end, with SIGKILL after END_S; the slot is empty then."""
        with self._lock:
            held = self._slots[slot]
            held.kept, held.again_at = False, None
            process = held.process
            if process is None:
                return
            life = held.life
            assert life is not None
            life.asked = True
            process.send_signal(signal.SIGUSR1 if keep else signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            life.overran = True
            process.kill()
            process.wait()
        with self._lock:
            if held.process is process:
                self._bury(held, 0.0)

    def asked_to_end(self, slot: str) -> None:
        """Note that somebody else asks it to drain."""
        life = self.life(slot)
        if life is not None:
            life.asked = True

    def close(self) -> None:
        """Kill what is left; the thread ends."""
        self._closing.set()
        self._thread.join()
        for slot in list(self._slots):
            self.kill(slot, None)

    # -- what is known ---------------------------------------------------------------------

    def life(self, slot: str) -> Life | None:
        """The process that runs in the slot."""
        with self._lock:
            held = self._slots.get(slot)
            return held.life if held is not None and held.process is not None else None

    def running(self) -> list[Life]:
        """All processes that run."""
        with self._lock:
            return [life for life in self.lives if life.ended is None]

    def sample(self) -> None:
        """Note what each running process holds now."""
        with self._lock:
            for life in self.lives:
                if life.ended is None:
                    with suppress(OSError, ValueError, IndexError):
                        life.samples.append(measure(life.pid))

    # -- inside ----------------------------------------------------------------------------

    def _spawn(self, slot: str, held: _Slot) -> None:
        assert len(self.lives) < STARTS_MAX, "workers die faster than faults strike"
        named = () if held.launch.anonymous else ("--slot", slot)
        command = [
            *held.launch.wrap,
            sys.executable,
            *STREAMS,
            "worker",
            "run",
            "--verbose",
            str(self._agents),
        ]
        log = self._scratch / f"worker-{len(self.lives)}-{slot}.log"
        home = self._scratch / "homes" / slot
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            **self._environment,
            **({"STREAMS_BOOTSTRAP": held.launch.bootstrap} if held.launch.bootstrap else {}),
            "TMPDIR": str(home),
            **held.launch.environment,
        }
        with log.open("wb") as stderr:
            held.process = subprocess.Popen(
                [*command, *named, "--drain-timeout", f"{DRAIN_S:g}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                cwd=home,
            )
        held.life = Life(slot, held.process.pid, time.time(), log, held.launch)
        held.again_at = None
        self.lives.append(held.life)

    def _kill(self, held: _Slot) -> None:
        assert held.process is not None
        assert held.life is not None
        held.life.killed = True
        held.process.kill()

    def _bury(self, held: _Slot, again_s: float) -> None:
        assert held.process is not None
        assert held.life is not None
        held.life.ended, held.life.code = time.time(), held.process.returncode
        held.process = None
        held.again_at = time.monotonic() + again_s if held.kept else None

    def _watch(self) -> None:
        while not self._closing.wait(POLL_S):
            with self._lock:
                for slot, held in self._slots.items():
                    self._look_after(slot, held)
            if time.monotonic() - self._sampled > SAMPLE_S:
                self._sampled = time.monotonic()
                self.sample()
                self._kill_the_greedy()

    def _look_after(self, slot: str, held: _Slot) -> None:
        if held.process is not None and held.process.poll() is not None:
            self._bury(held, 0.0)
        due = held.again_at is not None and time.monotonic() >= held.again_at
        if held.process is None and due:
            self._spawn(slot, held)

    def _kill_the_greedy(self) -> None:
        with self._lock:
            for held in self._slots.values():
                life = held.life
                if held.process is None or life is None or not life.samples:
                    continue
                if life.samples[-1].rss_bytes > RSS_MAX:
                    self._kill(held)


def _target(process: Path, name: str) -> str:
    """What a file descriptor stands for; empty if it was closed meanwhile."""
    try:
        return os.readlink(process / "fd" / name)
    except FileNotFoundError:
        return ""


def _name(thread: Path) -> str:
    try:
        return (thread / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def measure(pid: int) -> Sample:
    """What a process holds, from /proc; OSError if it is gone."""
    process = Path("/proc") / str(pid)
    held = [target for name in os.listdir(process / "fd") if (target := _target(process, name))]
    connections = sum(target.startswith("socket:") for target in held)
    names = [_name(process / "task" / thread) for thread in os.listdir(process / "task")]
    clients, client_threads = names.count("rdk:main"), sum(n.startswith("rdk:") for n in names)
    pages = int((process / "statm").read_text().split()[1])
    rss_bytes = pages * os.sysconf("SC_PAGE_SIZE")
    return Sample(
        at=time.time(),
        files=len(held) - connections,
        connections=connections,
        threads=len(names) - client_threads,
        clients=clients,
        client_threads=client_threads,
        rss_bytes=rss_bytes,
    )
