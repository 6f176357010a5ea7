"""A worker's heartbeat as OpenTelemetry metrics behind a Prometheus endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import start_http_server

from streams.errors import SettingsInvalid
from streams.records import Heartbeat, PoolBeat

Latest = Callable[[], Heartbeat | None]
Observe = Callable[[CallbackOptions], Iterable[Observation]]

_TOTALS = {
    "succeeded": "Tasks that ended as succeeded",
    "failed": "Tasks that ended as failed",
    "expired": "Tasks whose deadline passed",
    "retried": "Attempts that will be tried again",
    "dead": "Dead letters written",
    "commits": "Transactions committed",
    "aborts": "Transactions aborted",
}
_LEVELS = {
    "capacity": "Tasks that may run at once",
    "in_flight": "Tasks that run",
    "queued": "Tasks that wait in memory",
    "incomplete": "Records fetched and not committed",
    "quarantined": "Tasks that wait for their turn in quarantine",
}


def serve(port: int, latest: Latest, host: str) -> Callable[[], None]:
    """Start the endpoint; returns what stops it."""
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader], Resource.create({"service.name": "streams-worker"}))
    meter = provider.get_meter("streams")
    for name, text in _TOTALS.items():
        meter.create_observable_counter(f"streams_{name}", [_pools(latest, name)], "", text)
    for name, text in _LEVELS.items():
        meter.create_observable_gauge(f"streams_{name}", [_pools(latest, name)], "", text)
    meter.create_observable_gauge(
        "streams_partitions", [_counts(latest, "partitions")], "", "Partitions possessed"
    )
    meter.create_observable_gauge(
        "streams_paused_partitions", [_counts(latest, "paused")], "", "Partitions not fetched"
    )
    meter.create_observable_counter(
        "streams_latency_tasks", [_latency(latest)], "", "Tasks ended within le seconds of submit"
    )
    meter.create_observable_counter(
        "streams_cpu", [_process(latest, "cpu_micros", 1e-6)], "s", "CPU time of the process"
    )
    meter.create_observable_gauge(
        "streams_resident_memory", [_process(latest, "rss_bytes", 1)], "By", "Resident memory"
    )
    meter.create_observable_gauge(
        "streams_loop_lag", [_process(latest, "loop_lag_micros", 1e-6)], "s", "Event loop delay"
    )
    try:
        server, thread = start_http_server(port, addr=host)
    except OSError as error:
        provider.shutdown()
        raise SettingsInvalid(
            f"metrics cannot be served at {host}:{port}: {error.strerror}",
            hint="choose a free port",
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(2.0)
        provider.shutdown()

    return stop


def _each(latest: Latest) -> Iterator[tuple[PoolBeat, dict[str, str]]]:
    beat = latest()
    for pool in beat.pools if beat is not None else ():
        yield pool, {"agent": pool.agent}


def _pools(latest: Latest, name: str) -> Observe:
    return lambda _: [Observation(getattr(pool, name), of) for pool, of in _each(latest)]


def _counts(latest: Latest, name: str) -> Observe:
    return lambda _: [Observation(len(getattr(pool, name)), of) for pool, of in _each(latest)]


def _process(latest: Latest, name: str, factor: float) -> Observe:
    def observe(_: CallbackOptions) -> list[Observation]:
        beat = latest()
        return [] if beat is None else [Observation(getattr(beat, name) * factor)]

    return observe


def _latency(latest: Latest) -> Observe:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for pool, of in _each(latest):
            total = 0
            bounds = [f"{bound / 1e6:g}" for bound in pool.latency_bounds_micros] + ["+Inf"]
            for bound, count in zip(bounds, pool.latency_counts, strict=True):
                total += count
                yield Observation(total, {**of, "le": bound})

    return observe
