"""Dramatiq on Redis, at least once: a message is acknowledged after its actor has ended.

One worker process with its default of eight threads; 32 made no difference.
Results are stored by the middleware that comes with it. It has no validation: the actor does it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

from bench.payload import NAME, Document, document, summarise

url = os.environ["BENCH_URL"]
broker = RedisBroker(url=f"{url}/0")
broker.add_middleware(Results(backend=RedisBackend(url=f"{url}/1"), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name=NAME)
def noop(given: dict[str, Any]) -> dict[str, Any]:
    """Validated in and out."""
    return summarise(Document.model_validate(given)).model_dump()


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        noop.send(document(number).model_dump())
