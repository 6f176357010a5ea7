"""What the committer does about an error: one table, as a function of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from streams.errors import DataLost, LogError, StreamsError
from streams.ports import Refusal

REFUSED_KINDS = frozenset(
    {
        "MSG_SIZE_TOO_LARGE",
        "INVALID_MSG_SIZE",
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "TOPIC_AUTHORIZATION_FAILED",
        "UNKNOWN_TOPIC_OR_PART",
        "_UNKNOWN_TOPIC",
        "_UNKNOWN_PARTITION",
    }
)
"""Kinds that name a culprit: this very record can never be written."""

STALE_KINDS = frozenset(
    {
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
        "REBALANCE_IN_PROGRESS",
        "FENCED_INSTANCE_ID",
    }
)
FENCED_KINDS = frozenset({"_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"})
VAGUE_KINDS = frozenset({"_PURGE_QUEUE", "_PURGE_INFLIGHT", "_MSG_TIMED_OUT", "_INCONSISTENT"})
"""Reported for good records too, when another one of the batch cannot be written."""
DENIED_KINDS = frozenset(
    {
        "GROUP_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
    }
)


class Action(Enum):
    """What to do with the transaction that failed."""

    RESEND = "abort; what is still owned goes again with fresh membership"
    REPLACE = "abort, new producer; the culprits' outboxes become failed results"
    SEARCH = "abort, new producer; look for a culprit in metadata, else halve the batch"
    RECOVER = "destroy the producer, init again, read what is committed"
    FENCED = "as RECOVER, unless it happens again and again: then the slot is in use"
    STOP = "the pool cannot go on"


@dataclass(frozen=True, slots=True)
class Judgement:
    """An action and what it rests on."""

    action: Action
    error: LogError
    culprits: tuple[Refusal, ...] = ()

    @property
    def of_a_batch(self) -> bool:
        """Whether the culprits may fit one by one: a broker measures and refuses whole batches,
        which hold what goes to one partition."""
        sized = [c for c in self.culprits if c.error.kind == "MSG_SIZE_TOO_LARGE"]
        places = Counter((c.topic, c.partition) for c in sized)
        return max(places.values(), default=0) > 1


def judge(error: LogError, refusals: Sequence[Refusal], own_topics: Collection[str]) -> Judgement:
    """The verdict on a failed transaction.

    ``own_topics`` are the pool's own (results, dead letters, costs): if one of these is
    refused, no outcome can be written at all, so no outbox is replaced.
    """
    if error.kind in FENCED_KINDS:
        return Judgement(Action.FENCED, error)
    if error.kind in DENIED_KINDS:
        return Judgement(Action.STOP, error)
    culprits = tuple(r for r in refusals if r.error.kind in REFUSED_KINDS)
    if culprits:
        for culprit in culprits:
            if culprit.topic in own_topics and culprit.error.kind not in ("MSG_SIZE_TOO_LARGE",):
                return Judgement(Action.STOP, culprit.error, (culprit,))
        return Judgement(Action.REPLACE, error, culprits)
    if error.kind in STALE_KINDS:
        return Judgement(Action.RESEND, error)
    # Without the right to a topic the transaction is refused before any record, and no topic named.
    vague = error.kind in VAGUE_KINDS | {"TOPIC_AUTHORIZATION_FAILED"} or any(
        r.error.kind in VAGUE_KINDS for r in refusals
    )
    if vague:
        # A time-out and a fatal error too: the search begins with a new producer and with what
        # is committed, and without it a topic deleted after use blocks every outbox for ever.
        return Judgement(Action.SEARCH, error)
    return Judgement(Action.RECOVER, error)


def naming(error: LogError, topics: Collection[str]) -> LogError:
    """A refusal that names no topic, with those it can be about."""
    if not topics or error.kind != "TOPIC_AUTHORIZATION_FAILED":
        return error
    names = " or ".join(f"topic '{name}'" for name in sorted(topics))
    return LogError(error.kind, f"the right WRITE on {names} is missing")


def unreadable(error: LogError, topic: str) -> StreamsError | None:
    """Why a consumer cannot go on after this error; DataLost: its partition alone; None: it can."""
    if error.kind == "_AUTO_OFFSET_RESET" and error.partition is not None:
        return DataLost(
            f"{topic}[{error.partition}]: the offset to go on from is not in the log any more "
            f"({error})",
            hint="stop the group, then `streams group seek` says what can be done",
        )
    if error.kind in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "TOPIC_AUTHORIZATION_FAILED"):
        return StreamsError(
            f"topic '{topic}' cannot be read: {error}",
            hint="check that it exists and that the worker has the right to read it",
        )
    return error if error.kind == "GROUP_AUTHORIZATION_FAILED" else None
