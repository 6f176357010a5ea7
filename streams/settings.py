"""Where the broker is: flags, environment, ``streams.toml``, then a live embedded cluster.

``streams.toml`` is looked for in the working directory and then in its parents:

    bootstrap = "kafka-1:9092,kafka-2:9092"
    prefix = "staging"

    [kafka]                             # properties of the Kafka client, passed through
    security.protocol = "SASL_SSL"      # also STREAMS_KAFKA_SECURITY_PROTOCOL
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from streams.errors import BrokerUnknown, SettingsInvalid
from streams.processes import is_alive

FILE = "streams.toml"
STATE = Path(".streams", "kafka.json")
PREFIX_LENGTH_MAX = 60

_KEYS = ("bootstrap", "prefix", "kafka")
_ENV_KAFKA = "STREAMS_KAFKA_"
_PREFIX = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")

_OFFSETS = "progress is committed with the results, in one transaction"
_READS = "only committed records may be read, and a lost offset must be an error"
_WRITES = "every record is written exactly once"
_GROUPS = "it follows from the agent's name, the prefix and --slot"
_TIMES = "the recovery of a dead worker is timed by it"
OWNED: Mapping[str, str] = {
    "acks": _WRITES,
    "allow.auto.create.topics": "only `streams topic apply` makes topics",
    "auto.commit.interval.ms": _OFFSETS,
    "auto.offset.reset": _READS,
    "bootstrap.servers": "set bootstrap instead",
    "client.id": _GROUPS,
    "enable.auto.commit": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "enable.gapless.guarantee": _WRITES,
    "enable.idempotence": _WRITES,
    "enable.partition.eof": "the runtime reads the ends of partitions by it",
    "group.id": _GROUPS,
    "group.instance.id": _GROUPS,
    "group.protocol": "the runtime is made for the classic protocol",
    "isolation.level": _READS,
    "max.poll.interval.ms": _TIMES,
    "message.send.max.retries": _WRITES,
    "metadata.broker.list": "set bootstrap instead",
    "partition.assignment.strategy": "workers hand over single partitions (cooperative-sticky)",
    "partitioner": "the partition of a record is computed before it is produced",
    "request.required.acks": _WRITES,
    "retries": _WRITES,
    "session.timeout.ms": _TIMES,
    "transaction.timeout.ms": _TIMES,
    "transactional.id": _GROUPS,
}
"""Properties of the client that the runtime's promises rest on, and why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The broker in use, checked as a whole; ``provenance`` says where each value is from.

    Keys of ``provenance`` are ``bootstrap``, ``prefix`` and ``kafka.<property>``. Raises
    SettingsInvalid for values that make no sense.
    """

    bootstrap: str
    prefix: str = ""
    kafka: Mapping[str, str] = field(default_factory=dict[str, str])
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self._check_bootstrap()
        prefix_fits = len(self.prefix) <= PREFIX_LENGTH_MAX and _PREFIX.fullmatch(self.prefix)
        if self.prefix and not prefix_fits:
            raise SettingsInvalid(
                f"prefix '{self.prefix}'{self._origin('prefix')} cannot begin the name of a topic",
                hint=f"use at most {PREFIX_LENGTH_MAX} letters, digits, '-' and, inside, '.'",
            )
        for name in self.kafka:
            if name in OWNED:
                raise SettingsInvalid(
                    f"the Kafka property {name}{self._origin(f'kafka.{name}')} cannot be set: "
                    f"{OWNED[name]}",
                    hint="remove it",
                )

    def _check_bootstrap(self) -> None:
        for server in self.bootstrap.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
                raise SettingsInvalid(
                    f"bootstrap '{self.bootstrap}'{self._origin('bootstrap')} is no list of "
                    "host:port",
                    hint="for example localhost:9092, or several with commas between them",
                )

    def _origin(self, name: str) -> str:
        origin = self.provenance.get(name)
        return f" (from {origin})" if origin else ""


def resolve(
    bootstrap: str | None = None,
    prefix: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """Settings for a process in ``cwd`` with ``env``; given values come before all others.

    Raises SettingsInvalid for a mistake in any of the sources, BrokerUnknown if none names one.
    """
    cwd = Path.cwd() if cwd is None else cwd.absolute()
    env = os.environ if env is None else env
    file, content = _read_file(cwd)
    provenance: dict[str, str] = {}

    def first(name: str, given: str | None) -> str | None:
        variable = f"STREAMS_{name.upper()}"
        for value, origin in (
            (given, f"--{name}"),
            (env.get(variable) or None, variable),
            (content.get(name), str(file)),
        ):
            if value is not None:
                provenance[name] = origin
                return value
        return None

    kafka = _client_properties(env, file, content, provenance)
    chosen_prefix = first("prefix", prefix)
    chosen = first("bootstrap", bootstrap)
    if chosen is None:
        state, chosen = _live_cluster(cwd)
        provenance["bootstrap"] = str(state)
    if chosen_prefix is None:
        chosen_prefix = ""
        provenance["prefix"] = "default"
    return Settings(chosen, chosen_prefix, kafka, provenance)


def _read_file(cwd: Path) -> tuple[Path | None, dict[str, Any]]:
    """The nearest ``streams.toml`` upwards, with its keys checked."""
    path = next((path for path in _upwards(cwd, Path(FILE)) if path.is_file()), None)
    if path is None:
        return None, {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"{path} cannot be read: {error}") from None
    for key, value in content.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1, cutoff=0.5)
            raise SettingsInvalid(
                f"{path}: unknown key '{key}'",
                hint=f"did you mean '{near[0]}'?" if near else f"known are {', '.join(_KEYS)}",
            )
        if not isinstance(value, dict if key == "kafka" else str):
            kind = "a table" if key == "kafka" else "a text"
            raise SettingsInvalid(f"{path}: '{key}' is not {kind}")
    return path, content


def _client_properties(
    env: Mapping[str, str],
    file: Path | None,
    content: Mapping[str, Any],
    provenance: dict[str, str],
) -> dict[str, str]:
    properties: dict[str, str] = {}
    for name, value in _flat(content.get("kafka", {}), file):
        properties[name] = value
        provenance[f"kafka.{name}"] = str(file)
    for variable in sorted(env):
        if variable.startswith(_ENV_KAFKA) and env[variable]:
            name = variable.removeprefix(_ENV_KAFKA).lower().replace("_", ".")
            properties[name] = env[variable]
            provenance[f"kafka.{name}"] = variable
    return properties


def _flat(table: Mapping[str, Any], file: Path | None, head: str = "") -> Iterator[tuple[str, str]]:
    """TOML reads ``security.protocol`` as a table in a table: put the names together again."""
    for key, value in table.items():
        name = head + key
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), file, f"{name}.")
        elif isinstance(value, bool):
            yield name, "true" if value else "false"
        elif isinstance(value, (str, int, float)):
            yield name, str(value)
        else:
            raise SettingsInvalid(f"{file}: kafka property '{name}' is no text, number or boolean")


def _live_cluster(cwd: Path) -> tuple[Path, str]:
    """The nearest recorded cluster that is running: its record and its bootstrap."""
    dead: Path | None = None
    for path in _upwards(cwd, STATE):
        if not path.is_file():
            continue
        try:
            state = json.loads(path.read_text("utf-8"))
            bootstrap, data = str(state["bootstrap"]), str(state["data"])
            pids = [int(broker["pid"]) for broker in state["brokers"]]
            # After a restart of the machine a number belongs to something else.
            alive = any(is_alive(pid, data) for pid in pids)
        except (ValueError, KeyError, TypeError):
            pass  # of another version; the next cluster that starts here replaces it
        else:
            if alive:
                return path, bootstrap
        dead = dead or path
    stopped = f"; the cluster recorded in {dead} is not running" if dead else ""
    raise BrokerUnknown(
        f"no Kafka broker is known{stopped}",
        hint="streams dev starts one here; for another set STREAMS_BOOTSTRAP=host:port, "
        f"or bootstrap in {FILE}",
    )


def _upwards(cwd: Path, name: Path) -> Iterator[Path]:
    return (folder / name for folder in (cwd, *cwd.parents))
