"""Celery on Redis, at least once: a task is acknowledged after its result is stored.

One process without a pool ("solo"): for tasks that do nothing it had the most tasks per second
and took the least CPU; two prefork children took 1.4 times, four threads 1.2 times as much CPU
per task. Validation is Celery's own for pydantic. Events, gossip and heartbeats are off.
"""

from __future__ import annotations

import os
import sys

from celery import Celery

from bench.payload import NAME, Document, Summary, document, summarise

url = os.environ["BENCH_URL"]
app = Celery("bench", broker=f"{url}/0", backend=f"{url}/1")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=100,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name=NAME, pydantic=True)
def noop(given: Document) -> Summary:
    """Validated in and out."""
    return summarise(given)


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        noop.delay(document(number).model_dump())
