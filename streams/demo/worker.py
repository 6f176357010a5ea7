"""``python -m streams.demo.worker SLOT FILE…``: a worker that does not outlive its owner.

Its standard input is a pipe whose other end only the owner holds. The first line is the address
of the broker, so that a process is loaded while Kafka still starts; the end of the pipe, which
comes even if the owner is killed, is the end of the worker.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from importlib import import_module

from streams.errors import StreamsError
from streams.loader import load
from streams.settings import Settings
from streams.worker import Worker


def main() -> int:
    slot, *files = sys.argv[1:]
    import_module("streams.kafka.log")  # now, not when the address comes
    agents = load(files)
    bootstrap = sys.stdin.readline().strip()
    if not bootstrap:
        return 0
    threading.Thread(target=_end_with_owner, daemon=True).start()
    try:
        asyncio.run(Worker(agents, slot=slot, settings=Settings(bootstrap)).run())
    except StreamsError as error:
        print(f"error[{error.code}]: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def _end_with_owner() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
