"""This project's worker on the same tasks, with all that it does for them."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench.agents import CONCURRENCY, noop_agent
from bench.payload import Document, Summary
from bench.processes import cpu_of_threads, cpu_s, resident_mib
from streams import Context, Worker, agent
from streams.worker.interpreter import dedicate

SAMPLE_S = 0.2


@dataclass
class Meter:
    """What the process has used since its first task ended."""

    done: int = 0
    idle_mib: float = 0.0
    cpu_before: float = 0.0
    threads_before: dict[str, float] = field(default_factory=dict)
    memory: list[tuple[int, float]] = field(default_factory=list)
    """(tasks done, MiB), taken each SAMPLE_S."""

    def start(self) -> None:
        self.cpu_before, self.threads_before = cpu_s(), cpu_of_threads()

    def threads(self) -> dict[str, float]:
        """CPU seconds by thread."""
        now = cpu_of_threads()
        return {name: s - self.threads_before.get(name, 0.0) for name, s in now.items()}

    async def sample(self) -> None:
        """Look at the memory until cancelled."""
        while True:
            self.memory.append((self.done, resident_mib()))
            await asyncio.sleep(SAMPLE_S)


async def serve(options: argparse.Namespace) -> dict[str, Any]:
    """Serve until so many tasks are done (0: until the process is ended); what that took."""
    meter, last = Meter(), asyncio.Event()
    work = noop_agent(options.concurrency, options.seconds)
    announced = not options.announce

    @agent(name=work.name, concurrency=work.concurrency, timeout=work.timeout_s)
    async def counted(ctx: Context, document: Document) -> Summary:
        nonlocal announced
        if not meter.cpu_before:
            meter.start()
        summary = await work(ctx, document)
        meter.done += 1
        if not announced:
            announced = True
            meter.idle_mib = resident_mib()
            print("ready", flush=True)
        if meter.done == options.tasks:
            last.set()
        return summary

    # Leaving the block drains: every result is committed then.
    async with Worker([counted], bootstrap=options.bootstrap, prefix=options.prefix):
        sampling = asyncio.create_task(meter.sample()) if options.memory else None
        await last.wait()
        threads = meter.threads()
        if sampling is not None:
            sampling.cancel()
    return {
        "cpu_s": cpu_s() - meter.cpu_before,
        "threads": threads,
        "idle_mib": meter.idle_mib,
        "memory": meter.memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("prefix")
    parser.add_argument("tasks", type=int)
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    parser.add_argument("--seconds", type=float, default=0, help="what each task waits")
    parser.add_argument("--announce", action="store_true", help="print a line after the first task")
    parser.add_argument("--memory", action="store_true", help="sample the memory")
    options = parser.parse_args()
    dedicate()  # as `streams worker run` does
    print(json.dumps(uvloop.run(serve(options))))


if __name__ == "__main__":
    main()
