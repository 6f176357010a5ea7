"""OpenTelemetry, when it is asked for; nothing of it is imported and nothing spent when not.

``STREAMS_TRACE=on`` traces 1 % of tasks, ``STREAMS_TRACE=0.2`` that share, with the process's own
tracer provider;
``streams worker run --metrics PORT`` serves Prometheus metrics.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from streams.errors import ExtraMissing, SettingsInvalid

if TYPE_CHECKING:
    from streams.ports import Tracer
    from streams.records import Heartbeat

TRACE = "STREAMS_TRACE"
SHARE_DEFAULT = 0.01


def tracer(env: Mapping[str, str] | None = None) -> Tracer | None:
    """The tracer that ``STREAMS_TRACE`` asks for, None without it.

    SettingsInvalid unless it is a share from 0 to 1; ExtraMissing without OpenTelemetry.
    """
    text = (os.environ if env is None else env).get(TRACE, "")
    if not text:
        return None
    try:
        share = SHARE_DEFAULT if text == "on" else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsInvalid(
            f"{TRACE}={text!r} is no share of tasks",
            hint=f"{TRACE}=on for 1 %, or a share from 0 to 1",
        )
    try:
        from streams.telemetry.traces import OtelTracer
    except ImportError:
        raise ExtraMissing("otel", "tracing") from None
    return OtelTracer(share)


def serve_metrics(
    port: int, latest: Callable[[], Heartbeat | None], host: str = "127.0.0.1"
) -> Callable[[], None]:
    """Serve Prometheus metrics of a worker at ``http://host:port/metrics``; returns its end.

    The figures are those of the newest heartbeat, so a scrape costs the task path nothing.
    SettingsInvalid if the port is taken; ExtraMissing without OpenTelemetry.
    """
    try:
        from streams.telemetry.metrics import serve
    except ImportError:
        raise ExtraMissing("otel", "the metrics endpoint") from None
    return serve(port, latest, host)
