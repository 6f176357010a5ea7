"""The field: one deployment under load, with everything faults need to strike it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.kafka.log import KafkaLog
from streams.loader import load
from streams.ports import Log
from streams.provision import apply, plan
from streams.records import Task
from streams.testing import Kafka
from streams.threads import ThreadRunner
from streams.topics import Topics
from streams.verify import Violation

from .fault import PLAIN, Ground, Launch
from .follow import Follower
from .workers import AGENTS, Workers
from .workload import Submitter

PARTITIONS = 12
OPEN_MAX = 1_500
"""Tasks that the load keeps open: enough for all workers, little enough to end soon."""
SLOTS = ("a", "b", "c")
PATIENCE_S = 60.0
REST_S = 240.0
"""How long the end of the load waits until everything has ended."""
TICK_S = 0.05
IMPATIENT = {"message.timeout.ms": "4000"}
"""Properties of the submitter's producer: it gives records up, so that some stay uncertain."""


@dataclass(slots=True)
class Reach:
    """What a strike said it hits."""

    target: str = ""
    partitions: tuple[int, ...] | None = None
    since: Literal["strike", "heal"] = "strike"
    reach: Literal["workers", "brokers"] = "workers"


class LiveField:
    """Implements ``Field`` on real processes; ``close`` ends all of them but the brokers."""

    def __init__(
        self,
        kafka: Kafka,
        brokers: int,
        prefix: str,
        scratch: Path,
        rng: random.Random,
        per_second: float,
        ground: Ground,
    ) -> None:
        self.kafka = kafka
        self.ground = ground
        self.clocks_ahead_micros: dict[str, int] = {}
        self.brokers: Sequence[int] = range(1, brokers + 1)
        self.log: Log = KafkaLog(kafka.bootstrap)
        self.topics = Topics(prefix)
        self.scratch = scratch
        self.submissions = scratch / "submissions.log"
        scratch.mkdir(parents=True, exist_ok=True)
        agents = load([AGENTS])
        self.pools = [agent.name for agent in agents]
        catalog = Catalog(self.log, self.topics, SystemClock(), ThreadRunner())
        apply(
            self.log,
            self.topics,
            catalog,
            agents,
            plan(self.log, self.topics, catalog, agents, PARTITIONS),
        )
        source = KafkaLog(kafka.bootstrap, IMPATIENT)
        card = catalog.known(self.pools[0])
        self.submitter = Submitter(source, card, self.submissions, rng, OPEN_MAX, per_second)
        self.follower = Follower(
            self.log, self.topics, self.pools, PARTITIONS, self.submitter.answered
        )
        self.workers = Workers(
            {"STREAMS_BOOTSTRAP": kafka.bootstrap, "STREAMS_PREFIX": prefix}, scratch
        )
        self.hit = Reach()
        self.seen: list[Violation] = []
        """What faults themselves have seen."""

    def open_up(self) -> None:
        """Start the workers, and the load when all of them own partitions."""
        self.follower.start()
        for slot in SLOTS:
            self.start(slot)
        for slot in SLOTS:
            assert self.wait_for(slot, PATIENCE_S), f"worker {slot} did not begin"
        self.submitter.start()

    def come_to_rest(self) -> str | None:
        """End the load and wait until everything has ended; what is left, if not in time."""
        self.submitter.stop()

        def left() -> str | None:
            missing = {
                "tasks": self.submitter.open,
                "caused tasks": len(self.follower.open),
                "undecodable records": self.submitter.undecodable - self.follower.undecodable,
            }
            found = [f"{count} {what}" for what, count in missing.items() if count > 0]
            return ", ".join(found) or None

        self.until(lambda: left() is None, REST_S)
        return left()

    def send_home(self) -> None:
        """Drain every worker, all at once: nothing is committed after it."""
        leaving = [threading.Thread(target=self.end, args=(slot,)) for slot in SLOTS]
        for thread in leaving:
            thread.start()
        for thread in leaving:
            thread.join()

    def close(self) -> None:
        """End every process and thread of the deployment."""
        if not self.submitter.stopped:
            self.submitter.stop()
        self.workers.close()
        self.follower.stop()

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition; False if it did not come in time."""
        end = time.monotonic() + seconds
        while not condition():
            for part in (self.submitter, self.follower):
                if part.error is not None:
                    raise RuntimeError("the lane itself failed") from part.error
            if time.monotonic() > end:
                return False
            time.sleep(TICK_S)
        return True

    # -- what faults do ----------------------------------------------------------------------

    @property
    def slots(self) -> Sequence[str]:
        return SLOTS

    def pid(self, slot: str) -> int | None:
        life = self.workers.life(slot)
        return None if life is None else life.pid

    def owned(self, slot: str) -> frozenset[int]:
        life = self.workers.life(slot)
        return frozenset() if life is None else self.follower.owned(life.pid, life.started)

    def start(self, slot: str, launch: Launch = PLAIN) -> None:
        self.workers.start(slot, self.ground.launch(slot) if launch is PLAIN else launch)

    def kill(self, slot: str, *, again_s: float | None = 0.0) -> None:
        self.workers.kill(slot, again_s)

    def stop(self, slot: str) -> None:
        self.workers.stop(slot)

    def go_on(self, slot: str) -> None:
        self.workers.go_on(slot)

    def end(self, slot: str, *, keep: bool = False) -> None:
        self.workers.end(slot, keep)

    def restart(self, slot: str, launch: Launch = PLAIN, *, keep: bool = False) -> None:
        self.end(slot, keep=keep)
        self.start(slot, launch)

    def asked_to_end(self, slot: str) -> None:
        self.workers.asked_to_end(slot)

    def wrong(self, what: str, where: str) -> None:
        self.seen.append(Violation("I13", what, where))

    def wait_for(self, slot: str, seconds: float = 30.0) -> bool:
        return self.until(lambda: bool(self.owned(slot)), seconds)

    def affects(
        self,
        target: str,
        partitions: Iterable[int] | None = None,
        *,
        since: Literal["strike", "heal"] = "strike",
        reach: Literal["workers", "brokers"] = "workers",
    ) -> None:
        chosen = None if partitions is None else tuple(sorted(partitions))
        self.hit = Reach(target, chosen, since, reach)

    def submit(self, kind: str, count: int = 1) -> None:
        self.submitter.submit(kind, count)

    def submit_as(self, encode: Callable[[Task], bytes], count: int) -> None:
        self.submitter.submit_as(encode, count)
