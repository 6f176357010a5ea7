"""What ``streams dev`` and its worker process say to each other: one JSON object a line.

The worker reads ``Spec``, loads the agents, makes their topics and answers ``Loaded`` or
``Trouble``. It serves when it reads the next line, GO, so that the worker before it may go on
until then. The end of its standard input is the end of ``streams dev``, and of the worker.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from streams.errors import StreamsError
from streams.settings import Settings

GO = b"go\n"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a worker process is to run; ``drain_s`` is for its running tasks at its end."""

    paths: list[str]
    slot: str
    concurrency: int | None
    drain_s: float
    bootstrap: str
    prefix: str
    kafka: dict[str, str]

    @property
    def settings(self) -> Settings:
        return Settings(self.bootstrap, self.prefix, self.kafka)


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent as it was loaded; ``results`` is its topic of results."""

    name: str
    version: str
    source: str
    input_schema: str
    results: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The agents are defined rightly and have their topics; ``made`` names the new ones."""

    agents: list[AgentInfo]
    made: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Started:
    """The worker has joined its groups."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A StreamsError of the worker, as a person should see it."""

    code: str
    message: str
    hint: str
    exit_code: int

    @staticmethod
    def of(error: StreamsError) -> Trouble:
        return Trouble(error.code, error.message, error.hint, error.exit_code)


Message = Loaded | Started | Trouble


def pack(message: Message | Spec) -> bytes:
    """A message as one line."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def unpack(line: bytes) -> Message | Spec:
    """The message in a line."""
    fields: dict[str, Any] = json.loads(line)
    kind = fields.pop("kind")
    if kind == "Loaded":
        agents = [AgentInfo(**each) for each in fields["agents"]]
        return Loaded(agents, fields["made"])
    return {"Spec": Spec, "Started": Started, "Trouble": Trouble}[kind](**fields)
