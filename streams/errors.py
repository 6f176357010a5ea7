"""Every error of the package: one tree, each with a stable code, a verdict and a remedy.

    StreamsError
    ├── UsageError                 exit 2   the caller's mistake
    │   ├── DefinitionError        E0100    an agent is defined wrongly
    │   ├── InputInvalid           E0110    input does not fit the agent's type
    │   ├── InputTooLarge          E0111    input exceeds the topic's max.message.bytes
    │   ├── DeadlineTooLate        E0112    deadline beyond the topic's retention
    │   ├── OutputInvalid          E0113    output does not fit the agent's type
    │   ├── SettingsInvalid        E0120    a setting is missing or makes no sense
    │   │   └── BrokerUnknown      E0121    exit 3: no broker is configured and none runs here
    │   ├── LoadFailed             E0130    a file of agents cannot be loaded
    │   ├── ExtraMissing           E0140    an optional part is not installed
    │   └── DataMissing            E0141    files of the package itself are missing
    ├── BrokerUnreachable          E0300    exit 3
    ├── NotFound                   exit 4
    │   ├── TopicMissing           E0401
    │   ├── AgentUnknown           E0402
    │   └── TaskUnknown            E0403
    ├── Conflict                   exit 5
    │   ├── SlotInUse              E0501    two live owners of one slot
    │   ├── TopicDrift             E0502    a topic differs from its card
    │   ├── GroupActive            E0503    the group has members
    │   ├── TaskDuplicate          E0504    the caller's task id was used before
    │   ├── KafkaRunning           E0505    the embedded Kafka that runs is not what is asked for
    │   └── FolderInUse            E0506    a folder to be made exists and holds something
    ├── WaitTimeout                E1240    exit 124
    ├── TaskNotSucceeded           exit 1   a task ended otherwise than succeeded
    │   ├── TaskFailed             E0601
    │   ├── TaskCancelled          E0602
    │   └── TaskExpired            E0603
    ├── KilledWorker               E0604    dead-letter: it ran alone each time its worker died
    ├── RecordUndecodable          E0701    dead-letter: bytes that are no record of ours
    │   └── SchemaUnknown          E0702    written with a schema that was not read yet
    ├── DataLost                   E0801    stop: offsets that no longer exist
    ├── MapUnreadable              E0802    stop: commit metadata that cannot be trusted
    ├── PoolStopped                E0803    stop: a pool's own topic is refused or missing
    ├── KafkaFailed                E0810    the embedded Kafka did not start or died
    ├── WorkerDied                 E0811    a worker process ended that should not have
    └── LogError                   E0900    what the log said, as a value the verdicts read

    PermanentError, RetryAfter     raised by users in a handler; not StreamsErrors

The verdict says what a worker does on meeting the error: ``retry``, ``dead-letter``,
``stop`` (the partition or pool, loudly) or ``crash``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Literal

Verdict = Literal["retry", "dead-letter", "stop", "crash"]


class StreamsError(Exception):
    """Base of all errors of this package; ``hint`` says what to do about it.

    A traceback shows the hint below the message.
    """

    code: ClassVar[str] = "E0000"
    exit_code: ClassVar[int] = 1
    verdict: ClassVar[Verdict] = "crash"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def __str__(self) -> str:
        return self.message


class UsageError(StreamsError):
    """A mistake in using the package."""

    code = "E0001"
    exit_code = 2
    verdict = "dead-letter"


class DefinitionError(UsageError):
    """An agent, dependency or policy is defined wrongly; ``where`` is its ``file:line``."""

    code = "E0100"

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class InputInvalid(UsageError):
    """Input that does not fit the agent's input type."""

    code = "E0110"


class InputTooLarge(UsageError):
    """A record larger than its topic accepts."""

    code = "E0111"


class DeadlineTooLate(UsageError):
    """A deadline that the topic's retention cannot keep."""

    code = "E0112"


class OutputInvalid(UsageError):
    """A handler's return value, or a result, that does not fit the agent's output type."""

    code = "E0113"


class SettingsInvalid(UsageError):
    """A setting that is missing, misspelt or contradicts another."""

    code = "E0120"


class BrokerUnknown(SettingsInvalid):
    """No broker is configured, and no embedded one runs in this directory or a parent."""

    code = "E0121"
    exit_code = 3


class LoadFailed(UsageError):
    """A file of agents that cannot be loaded."""

    code = "E0130"


class ExtraMissing(UsageError):
    """A part of the package that is not installed; the hint is the install command."""

    code = "E0140"

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the extra '{extra}', which is not installed",
            hint=f"pip install 'agentstreams[{extra}]'",
        )


class DataMissing(UsageError):
    """Files that come with the package are not where they belong."""

    code = "E0141"


class BrokerUnreachable(StreamsError):
    """No broker answered at the address in use."""

    code = "E0300"
    exit_code = 3
    verdict = "retry"


class NotFound(StreamsError):
    """Something named does not exist."""

    code = "E0400"
    exit_code = 4
    verdict = "stop"


class TopicMissing(NotFound):
    """A topic that a pool needs does not exist."""

    code = "E0401"


class AgentUnknown(NotFound):
    """No card of this agent is on the ``agents`` topic."""

    code = "E0402"


class TaskUnknown(NotFound):
    """No record of this task was found in what was read."""

    code = "E0403"


class Conflict(StreamsError):
    """The state of the system does not allow this."""

    code = "E0500"
    exit_code = 5
    verdict = "stop"


class SlotInUse(Conflict):
    """Another live process uses this slot of this group."""

    code = "E0501"


class TopicDrift(Conflict):
    """A topic differs from what its card declares."""

    code = "E0502"


class GroupActive(Conflict):
    """The group has members, so its offsets cannot be changed."""

    code = "E0503"


class TaskDuplicate(Conflict):
    """The caller's task id was submitted before."""

    code = "E0504"


class KafkaRunning(Conflict):
    """An embedded Kafka runs, and what is asked needs another one or none."""

    code = "E0505"


class FolderInUse(Conflict):
    """A folder that is to be made exists and is not empty."""

    code = "E0506"


class WaitTimeout(StreamsError):
    """What was waited for did not come in time; it may still come."""

    code = "E1240"
    exit_code = 124
    verdict = "retry"


class TaskNotSucceeded(StreamsError):
    """A task ended otherwise than succeeded; ``record`` is its result."""

    code = "E0600"

    def __init__(self, message: str, *, record: Any = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.record = record


class TaskFailed(TaskNotSucceeded):
    """The task ended as failed."""

    code = "E0601"


class TaskCancelled(TaskNotSucceeded):
    """The task ended as cancelled."""

    code = "E0602"


class TaskExpired(TaskNotSucceeded):
    """The task's deadline passed before it was done."""

    code = "E0603"


class KilledWorker(StreamsError):
    """A task that was alone in flight each time its worker died."""

    code = "E0604"
    verdict = "dead-letter"


class RecordUndecodable(StreamsError):
    """Bytes that cannot be read as one of our records."""

    code = "E0701"
    verdict = "dead-letter"


class SchemaUnknown(RecordUndecodable):
    """A record whose writer's schema is not known; ``fingerprint`` is its key on ``schemas``."""

    code = "E0702"

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            f"a record was written with the unknown schema {fingerprint}",
            hint="the topic 'schemas' holds every writer's schema: read it to its end, try again",
        )
        self.fingerprint = fingerprint


class DataLost(StreamsError):
    """Offsets that were not finished are no longer in the log."""

    code = "E0801"
    verdict = "stop"


class MapUnreadable(StreamsError):
    """Commit metadata that cannot be read; it is never treated as empty."""

    code = "E0802"
    verdict = "stop"


class PoolStopped(StreamsError):
    """A pool cannot go on: one of its own topics is refused or missing."""

    code = "E0803"
    verdict = "stop"


class KafkaFailed(StreamsError):
    """The embedded Kafka did not start, or ended by itself."""

    code = "E0810"


class WorkerDied(StreamsError):
    """A worker process ended by itself."""

    code = "E0811"


class LogError(StreamsError):
    """What the log answered, as a value: the client's own error never leaves ``kafka/``.

    ``kind`` is the error's name as Kafka spells it (``ILLEGAL_GENERATION``; a leading
    underscore marks errors of the client itself, ``_TIMED_OUT``). ``partition`` and ``topic``
    are set where the error concerns one.
    """

    code = "E0900"
    verdict = "retry"

    def __init__(
        self,
        kind: str,
        message: str = "",
        *,
        retriable: bool = False,
        abortable: bool = False,
        fatal: bool = False,
        topic: str | None = None,
        partition: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(f"{kind}: {message}" if message else kind, hint=hint)
        self.kind = kind
        self.retriable = retriable
        self.abortable = abortable
        self.fatal = fatal
        self.topic = topic
        self.partition = partition


class PermanentError(Exception):
    """Raised in a handler: this task cannot succeed, do not try again."""


class RetryAfter(Exception):
    """Raised in a handler: try again, but not before ``delay`` (seconds or timedelta)."""

    def __init__(self, delay: float | timedelta, message: str = "") -> None:
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not seconds >= 0:
            raise ValueError(f"RetryAfter(delay={delay!r}): a delay is not negative")
        super().__init__(message or f"retry after {seconds:g} s")
        self.delay_s = seconds
