"""Spans of sampled tasks, linked to the span that submitted them (W3C trace context headers)."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streams.ports import Headers
from streams.records import Task

log = logging.getLogger("streams.telemetry")
_PROPAGATOR = TraceContextTextMapPropagator()
_FIELDS = frozenset(_PROPAGATOR.fields)
_BUCKETS = 1 << 32


class OtelTracer:
    """Implements :class:`~streams.ports.Tracer` with the global tracer provider."""

    def __init__(self, share: float) -> None:
        self._tracer = trace.get_tracer("streams")
        self.share = share
        self._below = int(share * _BUCKETS)

    def headers(self) -> Headers | None:
        """The trace context of whoever submits, None outside of a span."""
        if not trace.get_current_span().get_span_context().is_valid:
            return None
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return [(name, value.encode()) for name, value in carrier.items()]

    def start(self, task: Task, attempt: int, headers: Headers | None) -> trace.Span | None:
        """A span for one attempt, current in the calling task, if the task is sampled.

        A link, not a child: the submitter's span has usually ended, and a batch would make a
        trace of thousands. The choice follows from the task's id, so attempts agree on it.
        """
        if zlib.crc32(task.task_id.encode()) >= self._below:
            return None
        with _sparing_the_task():
            carrier = {n: (v or b"").decode("latin-1") for n, v in headers or () if n in _FIELDS}
            submitter = trace.get_current_span(_PROPAGATOR.extract(carrier)).get_span_context()
            span = self._tracer.start_span(
                f"process {task.agent}",
                context=context.Context(),
                kind=SpanKind.CONSUMER,
                links=[Link(submitter)] if submitter.is_valid else None,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.operation.type": "process",
                    "messaging.message.id": task.task_id,
                    "streams.agent": task.agent,
                    "streams.run_id": task.run_id,
                    "streams.attempt": attempt,
                },
            )
            # Each attempt is an asyncio task with a context of its own, which ends with it.
            context.attach(trace.set_span_in_context(span))
            return span
        return None

    def end(self, span: object, error: BaseException | None) -> None:
        """End a span that ``start`` gave."""
        assert isinstance(span, trace.Span)
        if error is not None:
            with _sparing_the_task():
                # It asks for the error's text, which a user's class may refuse.
                span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        with _sparing_the_task():
            span.end()


@contextmanager
def _sparing_the_task() -> Generator[None]:
    """Samplers and processors are the user's: what they raise costs the span alone."""
    try:
        yield
    except Exception as error:
        log.warning("a span lacks something: %s", type(error).__name__)
