"""Faults of worker processes: killed, stopped, restarted one by one, joining and leaving."""

from __future__ import annotations

import random
import threading
import time

from streams.catalog import Catalog
from streams.clock import SystemClock
from streams.errors import StreamsError, WaitTimeout
from streams.inspect.drain import drain_worker
from streams.threads import ThreadRunner

from .fault import Field, Heal, Launch, Missed

CHURN_EVERY_S = 2.0
EXTRAS_MAX = 2
"""Workers beside those of the slots."""
DRAIN_S = 40.0
AT_WORK_S = 30.0
"""How long a fault waits for a worker that has something to lose."""
BACK_S = 60.0
"""How long a worker may need to own partitions again."""
AGAIN = 0.25
"""The share of killed workers of which the next start is killed too."""


def at_work(field: Field, *slots: str) -> str:
    """The first of the slots whose worker owns partitions, as soon as one does; Missed."""
    if not field.until(lambda: any(map(field.owned, slots)), AT_WORK_S):
        raise Missed(f"nobody at work in {', '.join(slots)}")
    return next(slot for slot in slots if field.owned(slot))


def any_at_work(field: Field, rng: random.Random) -> str:
    """One of the workers that own partitions; Missed."""
    return at_work(field, *rng.sample(field.slots, len(field.slots)))


def back(field: Field, slot: str) -> None:
    """Wait until the slot's worker owns partitions again: that it does not is a violation."""
    if not field.wait_for(slot, BACK_S):
        field.wrong(f"owns nothing {BACK_S:.0f} s after it was started again", f"worker {slot}")


class _Simple:
    """What most faults are: possible everywhere, nothing to prepare or give back."""

    needs: str | None = None
    brokers = frozenset({1, 3})

    def ready(self, field: Field) -> None:
        pass

    def close(self) -> None:
        pass


class KillWorker(_Simple):
    """kill -9; a supervisor starts it again in its slot, and now and then that is killed too."""

    name = "kill-worker"
    pause_s = (0.5, 4.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        slot = any_at_work(field, rng)
        field.affects(slot, field.owned(slot))
        field.kill(slot, again_s=rng.uniform(0.0, 2.0))
        if rng.random() < AGAIN:
            return lambda: field.kill(slot)
        return None


class LoseWorker(_Simple):
    """kill -9, and nobody starts it again before its session is over: others take over."""

    name = "lose-worker"
    pause_s = (8.0, 12.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        slot = any_at_work(field, rng)
        field.affects(slot, field.owned(slot))
        field.kill(slot, again_s=None)
        return lambda: field.start(slot)


class StopWorker(_Simple):
    """SIGSTOP beyond the session, then SIGCONT: it comes back and believes to own."""

    name = "stop-worker"
    pause_s = (6.5, 11.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        slot = any_at_work(field, rng)
        field.affects(slot, field.owned(slot))
        field.stop(slot)
        return lambda: field.go_on(slot)


class RollingRestart(_Simple):
    """SIGTERM to one worker after the other, each started again."""

    name = "rolling-restart"
    pause_s = (0.5, 2.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects("all workers")
        for slot in rng.sample(field.slots, len(field.slots)):
            field.restart(slot)
            back(field, slot)
        return None


class RollingRestartKeep(_Simple):
    """``streams worker drain --keep`` for each; the supervisor starts it again in its slot."""

    name = "rolling-restart-keep"
    pause_s = (0.5, 2.0)

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects("all workers")
        catalog = Catalog(field.log, field.topics, SystemClock(), ThreadRunner())
        drained = 0
        for slot in rng.sample(field.slots, len(field.slots)):
            field.asked_to_end(slot)
            try:
                drain_worker(field.log, field.topics, catalog, SystemClock(), slot, True, DRAIN_S)
            except WaitTimeout as late:
                field.wrong(late.message, f"worker {slot}")
            except StreamsError:
                # It is dying of another fault: then there is nothing to drain.
                continue
            drained += 1
            back(field, slot)
        if not drained:
            raise Missed("no worker could be drained")
        return None


class Churn(_Simple):
    """A worker without a slot joins, or one leaves, every two seconds."""

    name = "churn"
    pause_s = (0.5, 2.0)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._starts = 0

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects("extra workers")
        extras: list[str] = []
        joined: set[str] = set()
        leaving: list[threading.Thread] = []

        def join() -> None:
            self._starts += 1
            extras.append(f"extra-{self._starts}")
            field.start(extras[-1], Launch(anonymous=True))

        def leave() -> None:
            if field.owned(extras[0]):
                joined.add(extras[0])
            thread = threading.Thread(target=field.end, args=(extras.pop(0),))
            thread.start()
            leaving.append(thread)

        until = time.monotonic() + self._seconds
        while time.monotonic() < until:
            if len(extras) == EXTRAS_MAX or (extras and rng.random() < 0.5):
                leave()
            else:
                join()
            time.sleep(CHURN_EVERY_S)
        try:
            if not joined:
                # On a slow machine all of them were told to leave while they began.
                if not extras:
                    join()
                at_work(field, *extras)
        finally:
            while extras:
                leave()
            for thread in leaving:
                thread.join()
        return None


class Handler(_Simple):
    """A task that does something to the process that runs it."""

    def __init__(self, kind: str, pause_s: tuple[float, float], count: int = 1) -> None:
        self.name = kind
        self.pause_s = pause_s
        self._count = count

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects("whoever gets it")
        field.submit(self.name, self._count)
        return None


def handlers() -> list[Handler]:
    """A handler that blocks, holds the interpreter, leaks, exits, segfaults; and bytes that are
    no task."""
    return [
        Handler("block", (8.0, 9.0)),
        Handler("seize", (9.0, 11.0)),
        Handler("leak", (10.0, 20.0)),
        Handler("exit", (5.0, 10.0)),
        Handler("segfault", (5.0, 10.0)),
        Handler("undecodable", (1.0, 2.0), count=20),
    ]
