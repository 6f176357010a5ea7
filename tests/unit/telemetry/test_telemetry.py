"""Telemetry: nothing when off; linked spans and a Prometheus page when on."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from urllib.request import urlopen

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streams import Context, agent
from streams.errors import SettingsInvalid
from streams.records import Heartbeat, PoolBeat
from streams.telemetry import serve_metrics, tracer
from streams.telemetry.traces import OtelTracer
from streams.testing import Fleet


@agent
async def leaf(ctx: Context, text: str) -> str:
    return text


@agent
async def root(ctx: Context, text: str) -> str:
    return await ctx.submit(leaf, text)


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def test_nothing_is_imported_when_it_is_off() -> None:
    code = (
        "import sys, streams.worker, streams.client, streams.telemetry as t; "
        "assert t.tracer({}) is None; "
        "sys.exit(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("text", ["2", "-0.1", "often"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="STREAMS_TRACE"):
        tracer({"STREAMS_TRACE": text})


def test_on_is_one_percent() -> None:
    made = tracer({"STREAMS_TRACE": "on"})
    assert isinstance(made, OtelTracer)
    assert made.share == pytest.approx(0.01)


def test_a_childs_span_links_to_its_parents(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_TRACE", "1")
    spans.clear()

    async def run() -> None:
        async with Fleet(root, leaf) as client:
            child = await client.handle(leaf, await client.ask(root, "x"))
            await child.result()

    asyncio.run(run())
    by_name = {span.name: span for span in spans.get_finished_spans()}
    parent, child = by_name["process root"], by_name["process leaf"]
    assert [link.context.span_id for link in child.links] == [parent.context.span_id]
    assert child.context.trace_id != parent.context.trace_id


def test_a_failed_attempt_is_an_error_span(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_TRACE", "1")
    spans.clear()

    @agent
    async def fails_once(ctx: Context, text: str) -> str:
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return text

    async def run() -> None:
        async with Fleet(fails_once) as client:
            await client.ask(fails_once, "x")

    asyncio.run(run())
    first, second = spans.get_finished_spans()
    assert (first.status.is_ok, second.status.is_ok) == (False, True)
    assert first.attributes is not None
    assert first.attributes["streams.attempt"] == 1


class Rude(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("not telling")


def test_an_attempt_whose_error_cannot_be_told_has_its_span_and_its_end(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_TRACE", "1")
    spans.clear()

    @agent(concurrency=1)
    async def rude_once(ctx: Context, text: str) -> str:
        if ctx.attempt == 1:
            raise Rude
        return text

    async def run() -> None:
        async with Fleet(rude_once) as client:
            assert await client.ask(rude_once, "x", timeout=20) == "x"

    asyncio.run(run())
    first, second = spans.get_finished_spans()
    assert (first.status.is_ok, first.status.description) == (False, "Rude")
    assert second.status.is_ok


class Failing(SpanProcessor):
    """Raises at one end of each span."""

    def __init__(self, at: str) -> None:
        setattr(self, at, self._fail)

    def _fail(self, *_: object, **__: object) -> None:
        raise RuntimeError("no spans today")


@pytest.mark.parametrize("at", ["on_start", "on_end"])
def test_a_task_ends_though_its_span_fails(
    at: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The provider is the user's, with all that hangs of it."""
    monkeypatch.setenv("STREAMS_TRACE", "1")
    provider = TracerProvider()
    provider.add_span_processor(Failing(at))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)

    async def run() -> None:
        async with Fleet(leaf) as client:
            assert await client.ask(leaf, "x", timeout=20) == "x"

    asyncio.run(run())
    assert "RuntimeError" in caplog.text


def test_no_task_is_traced_at_a_share_of_zero(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_TRACE", "0")
    spans.clear()

    async def run() -> None:
        async with Fleet(leaf) as client:
            await client.ask(leaf, "x")

    asyncio.run(run())
    assert spans.get_finished_spans() == ()


def test_metrics_are_those_of_the_newest_heartbeat() -> None:
    pool = PoolBeat("upper", "1", "pool.upper", succeeded=7, in_flight=2, partitions=[0, 1])
    pool.latency_bounds_micros, pool.latency_counts = [1_000, 5_000], [3, 4, 0]
    beat = Heartbeat("w", "w", "host", 1, "0", 1, 0, 0, "running", rss_bytes=1024, pools=[pool])
    port = free_port()
    stop = serve_metrics(port, lambda: beat)
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            page = answer.read().decode()
        with pytest.raises(SettingsInvalid, match="cannot be served"):
            serve_metrics(port, lambda: beat)
    finally:
        stop()
    assert 'streams_succeeded_total{agent="upper"' in page
    assert 'streams_in_flight{agent="upper"' in page
    assert 'le="0.005"' in page


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
