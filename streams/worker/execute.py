"""The event loop's side of a pool: admits tasks, runs handlers, turns their ends into outboxes."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from streams.agent import Agent
from streams.context import RUNNING, Context
from streams.core.lanes import Gate, Scheduler
from streams.core.ledger import Possession
from streams.core.outbox import Outbox
from streams.core.retry import Again, after_failure
from streams.errors import KilledWorker, RecordUndecodable, StreamsError
from streams.ports import Record
from streams.submission import read_task
from streams.worker.quarantine import Quarantine, is_suspect, may_start
from streams.worker.shared import LATENCY_BOUNDS_MICROS, Batch, Shared, Surroundings
from streams.worker.work import Outcomes, Work, headers_of

log = logging.getLogger("streams.worker")
retry_log = logging.getLogger("streams.retry")

SWEEP_S = 0.05
GRACE_S = 5.0
"""How long a handler that was cut off may take to end before the log names it."""


class Executor:
    """Runs the tasks of one agent. Every method is called on the event loop."""

    def __init__(
        self,
        agent: Agent[Any, Any],
        shared: Shared,
        outcomes: Outcomes,
        gate: Gate,
        context: Callable[[Work], Context],
        around: Surroundings,
    ) -> None:
        self._agent = agent
        self._shared = shared
        self._outcomes = outcomes
        self._context = context
        self._clock = around.clock
        self._jitter = around.jitter
        self._tracer = around.tracer
        self._loop = asyncio.get_running_loop()
        self.scheduler: Scheduler[Work] = Scheduler(agent.policy.concurrency, gate)
        self._quarantine = Quarantine(shared, gate, agent.policy.retry.attempts)
        self.running: dict[Work, asyncio.Task[None]] = {}
        self._unclaimed: dict[Possession, list[Record]] = {}
        self._unmarked: list[Work] = []
        self._waiting: dict[Work, asyncio.TimerHandle] = {}
        self._draining = False
        self._dispatching = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._due_next = float("inf")
        """No running attempt is due before; perhaps none then."""
        self.on_dispatch: Callable[[], None] = self.dispatch
        """Called when a slot became free; a worker with several agents wakes all of them."""

    # -- what the consumer and the committer tell ---------------------------------------

    def deliver(self, batch: Batch) -> None:
        """Admit fetched records; those of a partition that is not claimed yet wait."""
        for possession, records in batch:
            if possession.ended or possession.foreign:
                continue
            # Behind those that wait, also when the claim was committed a moment ago and
            # `settled` has yet to say so: else they would overtake.
            if possession.claimed and possession not in self._unclaimed:
                for record in records:
                    self._admit(possession, record)
            else:
                self._unclaimed.setdefault(possession, []).extend(records)
        self.dispatch()

    def settled(self) -> None:
        """What is committed was learned: claims, quarantine marks, or that others have claimed."""
        if self._unclaimed:
            for possession in [p for p in self._unclaimed if p.claimed or p.foreign]:
                records = self._unclaimed.pop(possession)
                for record in () if possession.foreign else records:
                    self._admit(possession, record)
            self.dispatch()
        if self._quarantine.settled():
            self.on_dispatch()
        if self._unmarked and not self._draining:
            for work in [w for w in self._unmarked if may_start(w.possession)]:
                self._unmarked.remove(work)
                self._start(work)
            self.on_dispatch()

    def ended(self, possessions: Sequence[Possession]) -> None:
        """Partitions are gone: their tasks belong to others now."""
        gone = set(possessions)
        for possession in possessions:
            self.scheduler.end(possession.lanes)
            self._unclaimed.pop(possession, None)
        for work, timer in list(self._waiting.items()):
            if work.possession in gone:
                timer.cancel()
                del self._waiting[work]
                self.scheduler.resume(work)
        for work in [w for w in self._unmarked if w.possession in gone]:
            self._unmarked.remove(work)
            self._leave(work)
        for work, running in list(self.running.items()):
            if work.possession in gone and not work.cut:
                work.due = min(work.due, self._clock.monotonic() + GRACE_S)
                self._due_next = min(self._due_next, work.due)
                self._cancel(work, running, "lost")
        self._quarantine.settled()
        self.on_dispatch()

    async def drain(self, timeout_s: float) -> bool:
        """Start nothing more; wait for what runs. False if something still runs."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Cut off what still runs, and wait for it to end, at most GRACE_S."""
        running = self.abandon()
        if running:
            await asyncio.wait(running, timeout=GRACE_S)

    def abandon(self) -> list[asyncio.Task[None]]:
        """Start nothing more and cut off what runs; returns what has yet to end."""
        self._draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        running = list(self.running.items())
        for work, handler in running:
            self._cancel(work, handler, work.cut or "lost")
        return [handler for _, handler in running]

    # -- admission ----------------------------------------------------------------------

    def _admit(self, possession: Possession, record: Record) -> None:
        try:
            task = read_task(record.key(), record.value() or b"")
        except RecordUndecodable as error:
            self._shared.stats.dead += 1
            self._finish(self._outcomes.undecodable(possession, record, error))
            self._came(possession, record)
            return
        lane = record.key() if self._agent.policy.ordering == "key" else None
        work = Work(possession, record, task, lane, task.attempt)
        work.alone = is_suspect(possession, record.offset())
        self.scheduler.add(work)
        self._came(possession, record)

    def _came(self, possession: Possession, record: Record) -> None:
        """If other suspects wait for this one to be queued before them, they do no longer."""
        if possession.first == record.offset():
            possession.first = None
            self.scheduler.unhold()

    def dispatch(self) -> None:
        """Start what may start."""
        if self._draining or self._dispatching:
            return
        # A task that ends at once (its deadline is over) comes back here: the loop below goes
        # on with the next one, rather than one call deeper for each.
        self._dispatching = True
        take = self.scheduler.take
        try:
            while (work := take()) is not None:
                if work.alone:
                    self._begin_alone(work)
                else:
                    self._start(work)
        finally:
            self._dispatching = False

    def _begin_alone(self, work: Work) -> None:
        """Start one in quarantine when it is known that it runs, or give it up."""
        if work.possession.foreign:
            self._leave(work)
        elif not self._quarantine.begin(work):
            error = KilledWorker(
                f"its worker died in attempt {work.attempt}, while this task ran alone",
                hint="look at the worker's own end: memory, a crash in a native library, exit()",
            )
            self._shared.stats.failed += 1
            self._shared.stats.dead += 1
            self._end(work, self._outcomes.failed(work, "killed_worker", error))
        elif may_start(work.possession):
            self._start(work)
        else:
            self._unmarked.append(work)

    # -- execution ----------------------------------------------------------------------

    def _start(self, work: Work) -> None:
        if work.possession.releasing or work.possession.foreign:
            # Its partition is given up, or another's: who owns it runs it, rather than both.
            self._leave(work)
            return
        now = self._clock.now_micros()
        if now >= work.task.deadline:
            self._shared.stats.expired += 1
            self._end(work, self._outcomes.expired(work))
            return
        work.started_at = now
        monotonic = self._clock.monotonic()
        work.due = monotonic + (work.task.deadline - now) / 1e6
        timeout = self._agent.policy.timeout_s
        if timeout is not None:
            work.due = min(work.due, monotonic + timeout)
        if work.due < self._due_next:
            self._due_next = work.due
        work.cut = ""
        work.begun = False
        self.running[work] = self._loop.create_task(self._attempt(work))
        self._idle.clear()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def _attempt(self, work: Work) -> None:
        tracer = self._tracer
        span = tracer and tracer.start(work.task, work.attempt, headers_of(work))
        error: BaseException | None = None
        context = self._context(work)
        RUNNING.set(context)
        agent = self._agent
        body = b""
        work.begun = True
        try:
            if not work.cut:
                output = await agent.fn(context, agent.parse_input(work.task.input))
                body = agent.dump_output(output)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as raised:
            # Of any kind: what is not caught here would keep its slot and its lane for ever.
            error = raised
        finally:
            if self.running.pop(work, None) is not None and not self.running:
                self._idle.set()
        if tracer and span:
            tracer.end(span, error)
        try:
            if work.cut or isinstance(error, asyncio.CancelledError):
                outbox = self._cut_off(work, error)
            elif error is not None:
                outbox = self._failed(work, error)
            else:
                outbox = self._outcomes.succeeded(work, body)
                self._shared.stats.succeeded += 1
        except Exception as broken:
            outbox = self._broken(work, broken)
        if outbox is None:
            self.on_dispatch()
        else:
            self._end(work, outbox)

    def _cut_off(self, work: Work, error: BaseException | None) -> Outbox | None:
        """The task's end, if it has ended."""
        if isinstance(error, asyncio.CancelledError):
            error = None
        if work.cut == "expired":
            outbox = self._outcomes.expired(work)
            self._shared.stats.expired += 1
            return outbox
        if work.cut == "lost" or work.possession.ended:
            self._leave(work)
            return None
        if work.cut == "timeout":
            limit = self._agent.policy.timeout_s
            why = TimeoutError(f"the attempt took longer than {limit:g} s")
        else:
            # The handler cancelled itself: its own failure, not the worker's doing.
            why = RuntimeError("the handler was cancelled from inside")
        return self._failed(work, error or why)

    def _failed(self, work: Work, error: BaseException) -> Outbox | None:
        """The task's end, if it is not tried again."""
        work.children.clear()
        policy = self._agent.policy.retry
        verdict = after_failure(error, policy, work.attempt, work.waited_s, self._jitter())
        if isinstance(verdict, Again):
            self._shared.stats.retried += 1
            retry_log.info(
                "%s: attempt %d of %d failed, again in %.1f s: %r",
                self._agent.name,
                work.attempt,
                policy.attempts,
                verdict.delay_s,
                error,
            )
            self._wait(work, verdict.delay_s)
            return None
        outbox = self._outcomes.failed(work, verdict.reason, error)
        self._shared.stats.failed += 1
        self._shared.stats.dead += 1
        return outbox

    def _broken(self, work: Work, error: Exception) -> Outbox:
        """The end of a task whose own cannot be made, mostly for what a user's exception raises.

        It would keep its slot, its lane and its offset for ever.
        """
        log.error("the end of task %s cannot be told", work.task.task_id, exc_info=error)
        work.children.clear()
        why = StreamsError(
            f"what attempt {work.attempt} ended with cannot be told: {type(error).__name__}",
            hint="the worker's log has its traceback",
        )
        outbox = self._outcomes.failed(work, "permanent_error", why)
        self._shared.stats.failed += 1
        self._shared.stats.dead += 1
        return outbox

    def _wait(self, work: Work, delay_s: float) -> None:
        # Not beyond the deadline: it expires then, however long it would have waited.
        left_s = (work.task.deadline - self._clock.now_micros()) / 1e6
        delay_s = max(0.0, min(delay_s, left_s))
        work.waited_s += delay_s
        work.attempt += 1
        self.scheduler.suspend(work)
        self._quarantine.left(work)
        self._waiting[work] = self._loop.call_later(delay_s, self._resume, work)

    def _resume(self, work: Work) -> None:
        del self._waiting[work]
        self.scheduler.resume(work)
        self.dispatch()

    def _end(self, work: Work, outbox: Outbox) -> None:
        self._finish(outbox)
        self._count_latency(work)
        self._leave(work)
        self.on_dispatch()

    def _leave(self, work: Work) -> None:
        """A task that was taken will not run (any more)."""
        self.scheduler.finish(work)
        self._quarantine.left(work)

    def _finish(self, outbox: Outbox) -> None:
        shared = self._shared
        with shared.lock:
            kept = shared.ledger.finish(outbox)
        if kept:
            shared.wake()
        else:
            shared.stats.dropped += 1

    def _count_latency(self, work: Work) -> None:
        took = self._clock.now_micros() - work.task.submitted_at
        self._shared.stats.latency_counts[bisect_left(LATENCY_BOUNDS_MICROS, took)] += 1

    def _sweep(self) -> None:
        """Cut off attempts whose time is over; one timer for all of them."""
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if self.running else None
        now = self._clock.monotonic()
        if self.scheduler.gate.look(now):
            self.on_dispatch()
        if now < self._due_next:
            return
        for work, handler in list(self.running.items()):
            if work.due > now:
                continue
            if work.cut:
                log.warning("task %s of '%s' does not end", work.task.task_id, self._agent.name)
                self.scheduler.disregard(work)
                self._quarantine.left(work, stuck=True)
                self.on_dispatch()
            else:
                expired = self._clock.now_micros() >= work.task.deadline
                work.cut = "expired" if expired else "timeout"
            work.due = now + GRACE_S
            self._cancel(work, handler, work.cut)
        self._due_next = min((work.due for work in self.running), default=float("inf"))

    @staticmethod
    def _cancel(work: Work, handler: asyncio.Task[None], why: str) -> None:
        work.cut = why
        # An asyncio task that is cancelled before its first step never runs a line, so nobody
        # would free its slot: it is left to begin, and to see that it was cut off.
        if work.begun:
            handler.cancel(why)
