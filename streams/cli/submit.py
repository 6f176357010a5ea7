"""``streams task submit``: one task or a file of them, and waiting for results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.cli.connect import Connection
from streams.cli.output import Row, chosen, emit, emit_lines, emit_one, line, say
from streams.errors import StreamsError, WaitTimeout

if TYPE_CHECKING:
    from streams.client import Client, Handle
    from streams.records import AgentCard

NOBODY_S = 2.0
"""How long to wait for a result before looking whether any worker is there."""
CHUNK = 1_000
_SENT = ("task_id",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    agent: str
    text: str | None
    file: Path | None
    key: str | None
    key_field: str | None
    tenant: str
    task_id: str | None
    wait: bool
    timeout_s: float | None


async def submit(client: Client, at: Connection, wanted: Wanted) -> int:
    """Submit, print ids or results, and return the exit code."""
    card = await client.catalog.card(wanted.agent)
    if wanted.file is None:
        return await _one(client, at, card, wanted)
    if wanted.wait:
        return await _many_waiting(client, at, card, wanted)
    return await _many(client, card, wanted)


async def _one(client: Client, at: Connection, card: AgentCard, wanted: Wanted) -> int:
    from streams.client.handles import output_of
    from streams.client.inputs import key_in, read_input
    from streams.inspect.show import fields_of

    value = read_input(card, wanted.text or "")
    key = wanted.key if wanted.key_field is None else key_in(value, wanted.key_field)
    handle = await client.submit(
        wanted.agent, value, key=key, tenant=wanted.tenant, task_id=wanted.task_id
    )
    if not wanted.wait:
        emit([_sent(wanted, handle)], _SENT)
        return 0
    async with _watch(at, wanted.agent):
        result = await handle.record(wanted.timeout_s)
    emit_one(fields_of(result))
    output_of(result)
    return 0


async def _many(client: Client, card: AgentCard, wanted: Wanted) -> int:
    """Print the id of each task once the log has it."""
    from streams.client.inputs import key_in

    async def send(value: Any) -> Handle[Any]:
        key = wanted.key if wanted.key_field is None else key_in(value, wanted.key_field)
        return await client.submit(wanted.agent, value, key=key, tenant=wanted.tenant)

    begun, count = time.monotonic(), 0
    inputs = iter(_checked(card, wanted))
    while chunk := list(islice(inputs, CHUNK)):
        handles = await asyncio.gather(*map(send, chunk))
        count += len(handles)
        emit((_sent(wanted, handle) for handle in handles), _SENT)
    say(f"{count} tasks submitted to '{wanted.agent}' in {time.monotonic() - begun:.1f} s")
    return 0


async def _many_waiting(client: Client, at: Connection, card: AgentCard, wanted: Wanted) -> int:
    """Print each result as it comes; 1 if any task did not succeed."""
    from streams.client.inputs import address_of, key_in
    from streams.inspect.show import fields_of

    def key_of(value: Any) -> str | None:
        return wanted.key if wanted.key_field is None else key_in(value, wanted.key_field)

    begun, ended, failed = time.monotonic(), 0, 0
    kept: list[dict[str, Any]] = []
    key: Any = key_of if wanted.key or wanted.key_field else None
    inputs = _checked(card, wanted)
    batch = await client.submit_many(address_of(card), inputs, key=key, tenant=wanted.tenant)
    try:
        async with asyncio.timeout(wanted.timeout_s), _watch(at, wanted.agent):
            async for result in batch:
                ended += 1
                failed += result.status != "succeeded"
                if chosen() == "json":
                    kept.append(fields_of(result))
                else:
                    emit_lines([fields_of(result)], _line)
    except TimeoutError:
        raise WaitTimeout(
            f"{batch.submitted - ended} of {batch.submitted} tasks have no result after "
            f"{wanted.timeout_s:g} s",
            hint=f"they go on: `streams task list --agent {wanted.agent}` shows them; "
            "is a worker running? `streams worker list`",
        ) from None
    finally:
        emit(kept)
    took = time.monotonic() - begun
    say(f"{ended - failed} succeeded, {failed} did not, in {took:.1f} s; run {batch.run_id}")
    return 1 if failed else 0


def _sent(wanted: Wanted, handle: Handle[Any]) -> Row:
    return {"task_id": handle.task_id, "run_id": handle.run_id, "agent": wanted.agent}


def _line(row: Row) -> str:
    said = row["error"]["message"] if row["error"] else line(row["output"])
    return f"{row['task_id']} {row['status']} {said}"


def _checked(card: AgentCard, wanted: Wanted) -> Iterator[Any]:
    """The inputs of the file; all are checked first, so that a wrong one submits nothing."""
    from streams.client.inputs import key_in, read_lines

    assert wanted.file is not None
    for value in read_lines(wanted.file, card):
        if wanted.key_field is not None:
            key_in(value, wanted.key_field)
    return read_lines(wanted.file, card)


@asynccontextmanager
async def _watch(at: Connection, agent: str) -> AsyncGenerator[None]:
    """While waiting, say so if no live worker serves the agent."""
    watching = asyncio.create_task(_say_if_nobody(at, agent))
    try:
        yield
    finally:
        watching.cancel()


async def _say_if_nobody(at: Connection, agent: str) -> None:
    from streams.inspect.workers import seen_workers, serving

    await asyncio.sleep(NOBODY_S)
    try:
        seen = await asyncio.to_thread(seen_workers, at.log, at.topics, at.catalog, at.clock)
    except StreamsError:
        return  # it is only advice
    if not serving(seen, agent):
        say(f"no live worker serves '{agent}'; the task waits. streams worker run PATH starts one")
