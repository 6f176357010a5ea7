"""Faust on Kafka, at least once: offsets are committed after the agent has taken the next event.

One stream at concurrency 1: with more it commits past events that are still running. Results
are sent without waiting for each one's acknowledgement; the producer lingers for batches.
Values stay bytes for Faust, because its own models would be read a second time by pydantic.
"""

from __future__ import annotations

import os

import faust

from bench.payload import Document, summarise
from bench.peers.kafka import GROUP, RESULTS, TASKS

app = faust.App(
    GROUP,
    broker=f"aiokafka://{os.environ['BENCH_URL']}",
    value_serializer="raw",
    key_serializer="raw",
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    stream_wait_empty=False,
    stream_buffer_maxsize=16_384,
    producer_compression_type="lz4",
    web_enabled=False,
)
tasks = app.topic(TASKS, value_type=bytes)
results = app.topic(RESULTS, value_type=bytes)


@app.agent(tasks)
async def noop(stream: faust.Stream[bytes]) -> None:
    """Validated in and out."""
    async for event in stream.events():
        summary = summarise(Document.model_validate_json(event.value))
        await results.send(key=event.key, value=summary.model_dump_json().encode())
