"""FastStream on Kafka, at least once: offsets are committed after the results are acknowledged.

Measured both ways. Record by record it waits for the acknowledgement of each result. In batches
of up to 2,000 records, which its guide offers for throughput, one call of the handler serves all
of them, and one failure fails all of them. Validation is its own.
"""

from __future__ import annotations

import os
import sys

import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

from bench.payload import Document, Summary, summarise
from bench.peers.kafka import GROUP, RESULTS, TASKS

BATCH_MAX = 2_000
BATCH_BYTES_MAX = 1 << 20

broker = KafkaBroker(
    os.environ["BENCH_URL"],
    compression_type="lz4",
    acks="all",
    max_batch_size=BATCH_BYTES_MAX,
    logger=None,
)
app = FastStream(broker, logger=None)

if "batches" in sys.argv:

    @broker.subscriber(
        TASKS,
        group_id=GROUP,
        batch=True,
        max_records=BATCH_MAX,
        batch_timeout_ms=20,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    @broker.publisher(RESULTS, batch=True)
    async def noop_batch(documents: list[Document]) -> list[Summary]:
        """Validated in and out."""
        return [summarise(given) for given in documents]

else:

    @broker.subscriber(
        TASKS,
        group_id=GROUP,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    @broker.publisher(RESULTS)
    async def noop(given: Document) -> Summary:
        """Validated in and out."""
        return summarise(given)


if __name__ == "__main__":
    uvloop.run(app.run())
