"""What a fault is, and the field it strikes: the interface between faults and the lane."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from streams.ports import Log
from streams.records import Task
from streams.testing import Kafka
from streams.topics import Topics
from streams.verify import Violation

Heal = Callable[[], None]


class Missed(Exception):
    """Raised by a strike or a heal: nothing was there to be struck, or it had no effect.

    What was done is undone before it is raised; the fault does not count and is struck again.
    """


@dataclass(frozen=True, slots=True)
class Launch:
    """How a worker process is started in its slot, where it differs from the others."""

    bootstrap: str | None = None
    """What it connects to, such as a proxy; None is the brokers themselves."""
    wrap: Sequence[str] = ()
    """Words before the command, such as ``ip netns exec NAME``."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables over the others, such as ``LD_PRELOAD`` or ``PYTHONPATH``."""
    anonymous: bool = False
    """Without ``--slot``: a new identity with each start. The slot is only our name for it."""


PLAIN = Launch()
"""As the deployment's ground says."""


class Ground(Protocol):
    """What stands around a deployment: there before its brokers, gone after its workers."""

    properties: Any
    """Settings of the brokers, as ``streams.testing.Kafka`` takes them."""

    def launch(self, slot: str) -> Launch:
        """How the worker of a slot is started where a fault says nothing else."""
        ...


class OpenGround:
    """Nothing: workers and brokers see each other directly."""

    properties: Any = None

    def launch(self, slot: str) -> Launch:
        return PLAIN


class Field(Protocol):
    """A running deployment under load. All methods block, and may be called by one thread."""

    kafka: Kafka
    brokers: Sequence[int]
    """Numbers of the brokers, from 1."""
    log: Log
    topics: Topics
    ground: Ground
    clocks_ahead_micros: dict[str, int]
    """By worker: whose clock a fault sets wrong says so here, for the verdict."""
    scratch: Path
    """A folder for logs and data of this deployment; kept if the verdict finds anything."""

    @property
    def slots(self) -> Sequence[str]:
        """The slots whose workers are kept running; faults choose among them."""
        ...

    def pid(self, slot: str) -> int | None:
        """The process of the slot's worker; None while there is none."""
        ...

    def owned(self, slot: str) -> frozenset[int]:
        """Partitions of the main pool that its newest heartbeat names."""
        ...

    def start(self, slot: str, launch: Launch = PLAIN) -> None:
        """Start a worker in an empty slot and keep it running: if it dies, it is started again."""
        ...

    def kill(self, slot: str, *, again_s: float | None = 0.0) -> None:
        """SIGKILL; started again after ``again_s`` seconds, with None not until ``start``."""
        ...

    def stop(self, slot: str) -> None:
        """SIGSTOP."""
        ...

    def go_on(self, slot: str) -> None:
        """SIGCONT."""
        ...

    def end(self, slot: str, *, keep: bool = False) -> None:
        """Drain (SIGTERM, or SIGUSR1 with ``keep``) and wait for the end; the slot is empty."""
        ...

    def restart(self, slot: str, launch: Launch = PLAIN, *, keep: bool = False) -> None:
        """``end``, then ``start``."""
        ...

    def asked_to_end(self, slot: str) -> None:
        """Note that the slot's process was asked to drain by somebody else."""
        ...

    def wait_for(self, slot: str, seconds: float = 30.0) -> bool:
        """Wait until the slot's process beats and owns partitions; False if it did not in time."""
        ...

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition; False if it did not come in time."""
        ...

    def wrong(self, what: str, where: str) -> None:
        """Note a violation of I13 that the fault itself has seen."""
        ...

    def affects(
        self,
        target: str,
        partitions: Iterable[int] | None = None,
        *,
        since: Literal["strike", "heal"] = "strike",
        reach: Literal["workers", "brokers"] = "workers",
    ) -> None:
        """Say what the present strike hits: called once inside of ``strike``.

        ``partitions`` are those of the main pool that stand still (None: all of them). Recovery
        is counted from the strike where others take over, from the heal where nothing can go on
        before. With ``reach`` brokers heartbeats may be missing too while it lasts.
        """
        ...

    def submit(self, kind: str, count: int = 1) -> None:
        """Submit tasks of a kind of the workload: ``block``, ``leak``, ``exit``, ``segfault``,
        ``undecodable``."""
        ...

    def submit_as(self, encode: Callable[[Task], bytes], count: int) -> None:
        """Submit ordinary tasks whose records are written by ``encode``."""
        ...


class Fault(Protocol):
    """One kind of fault, struck under load again and again."""

    name: str
    """``kill-worker``, ``stop-worker``, …"""
    needs: str | None
    """Why it cannot be struck here, None if it can: "needs root"."""
    brokers: frozenset[int]
    """In clusters of which size it makes sense: {1}, {3} or {1, 3}."""
    pause_s: tuple[float, float]
    """Range of the seconds between strike and heal, and to the next fault without a heal."""

    def ready(self, field: Field) -> None:
        """Called once per deployment after its brokers and before its workers are started."""
        ...

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        """Inject it now; returns what heals it, None if it heals by itself."""
        ...

    def close(self) -> None:
        """Called once per deployment, after its workers have ended: give back what is held."""
        ...


class Scenario(Protocol):
    """A deployment of its own that meets one fault and must end in one described way."""

    name: str
    needs: str | None

    def run(self, scratch: Path, rng: random.Random) -> ScenarioOutcome:
        """Set up, strike, judge and clear away; within two minutes."""
        ...


@dataclass(frozen=True, slots=True)
class ScenarioOutcome:
    """What a scenario showed: an expectation in words, and how it was not met."""

    expected: str
    """One sentence for the report: "the partition stops and names the offsets"."""
    violations: Sequence[Violation]
    tasks: int = 0
    """Tasks that were checked with it."""
