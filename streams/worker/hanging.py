"""Ends what no transaction knows any more and still holds offsets of a group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from streams.errors import LogError
from streams.ports import Committed, Membership, TransactionalProducer

ABORT_TIMEOUT_S = 5.0


def clear(
    producer: TransactionalProducer,
    topic: str,
    offsets: Mapping[int, Committed],
    membership: Membership,
) -> None:
    """Abort a transaction over these offsets, and with it what hangs there of the same id.

    An offset that reaches the broker after the end of its transaction is held by none that the
    coordinator knows: ``init`` does not end it, and it would hold its partition for ever. LogError.
    """
    producer.begin()
    # Refused or not: what counts is that the group's offsets are part of the transaction.
    with suppress(LogError):
        producer.send_offsets(topic, offsets, membership)
    producer.abort(ABORT_TIMEOUT_S)
