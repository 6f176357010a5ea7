"""What the lane shares: the images, one broker, and the cluster of the compose file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

# Its reaper is one more image to pull; the fixtures stop what they start.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

import docker
import pytest
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

PROJECT = Path(__file__).parents[2]
AGENTS = Path(__file__).parent / "agents"
_IMAGES = Path(__file__).parent / "image" / "images.py"
_COMPOSE_FILE = PROJECT / "docker-compose.kafka.yml"
_HEALTHY_S_MAX = 90
_SERVICES = ("kafka-1", "kafka-2", "kafka-3")

_SINGLE_BROKER = {
    "CLUSTER_ID": "b8GzV0kRS9-1mC4uYtEwXg",
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    # The broker also calls itself (to verify transactions), and not by the host's address.
    "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
    "KAFKA_LISTENERS": "INTERNAL://:19092,HOST://:9092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
        "INTERNAL:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT"
    ),
    "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
}


@dataclass(frozen=True)
class Cluster:
    """The cluster of the compose file; ``inside`` is its address on its ``network``."""

    engine: docker.DockerClient
    project: str
    bootstrap: str
    inside: str = "kafka-1:19092,kafka-2:19092,kafka-3:19092"

    @property
    def network(self) -> str:
        return f"{self.project}_default"

    def broker(self, service: str) -> Container:
        labels = {"project": self.project, "service": service}
        wanted = [f"com.docker.compose.{name}={value}" for name, value in labels.items()]
        [container] = self.engine.containers.list(all=True, filters={"label": wanted})
        return container

    def health(self) -> dict[str, str]:
        states = {service: self.broker(service).attrs["State"] for service in _SERVICES}
        return {name: state.get("Health", {}).get("Status", "") for name, state in states.items()}

    def wait_healthy(self) -> None:
        end = time.monotonic() + _HEALTHY_S_MAX
        while set((health := self.health()).values()) != {"healthy"}:
            assert time.monotonic() < end, health
            time.sleep(0.25)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def kafka_image() -> str:
    """``STREAMS_TEST_KAFKA_IMAGE``; ``local`` builds one from the locked jars."""
    name = os.environ.get("STREAMS_TEST_KAFKA_IMAGE", "apache/kafka:4.4.0")
    return _built("kafka") if name == "local" else name


@pytest.fixture(scope="session")
def worker_image() -> str:
    """``deploy/Dockerfile`` on ``STREAMS_TEST_PYTHON_IMAGE``; ``local`` builds a base as well."""
    base = os.environ.get("STREAMS_TEST_PYTHON_IMAGE", "python:3.13-slim")
    return _built("worker", _built("python") if base == "local" else base)


@pytest.fixture(scope="session")
def broker(kafka_image: str) -> Iterator[str]:
    """The address of one broker run by Testcontainers."""
    [port] = free_ports(1)
    container = DockerContainer(kafka_image).with_bind_ports(9092, port)
    host = container.get_docker_client().host()
    advertised = f"INTERNAL://localhost:19092,HOST://{host}:{port}"
    container.with_envs(**_SINGLE_BROKER, KAFKA_ADVERTISED_LISTENERS=advertised)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    with container:
        yield f"{host}:{port}"


@pytest.fixture(scope="session")
def cluster(engine: docker.DockerClient, kafka_image: str) -> Iterator[Cluster]:
    """The compose file, started to healthy; removed with its volumes at the end."""
    ports = free_ports(3)
    project = f"streams-test-{uuid4().hex[:8]}"
    command = [*_compose(), "--project-name", project, "--file", str(_COMPOSE_FILE)]
    environment = os.environ | {"STREAMS_COMPOSE_IMAGE": kafka_image}
    environment |= {f"STREAMS_COMPOSE_PORT_{n}": str(port) for n, port in enumerate(ports, 1)}

    def compose(*arguments: str) -> None:
        subprocess.run([*command, *arguments], env=environment, check=True)

    try:
        compose("up", "--detach")
        cluster = Cluster(engine, project, ",".join(f"127.0.0.1:{port}" for port in ports))
        cluster.wait_healthy()
        yield cluster
    finally:
        compose("down", "--volumes", "--timeout", "5")


@pytest.fixture
def worker(
    engine: docker.DockerClient, worker_image: str, cluster: Cluster
) -> Iterator[Callable[..., Container]]:
    """``worker(*arguments)``: the image beside the cluster, with agents in /app/agents."""
    with ExitStack() as started:

        def start(*arguments: str) -> Container:
            container = engine.containers.run(
                worker_image,
                list(arguments),
                detach=True,
                network=cluster.network,
                environment={"STREAMS_BOOTSTRAP": cluster.inside},
                volumes=[f"{AGENTS}:/app/agents:ro"],
            )
            started.callback(end, container)
            return container

        yield start


def end(container: Container) -> None:
    """Print what the container said, which pytest shows when the test fails; then remove it."""
    print(f"--- {' '.join(container.attrs['Args'])}\n{container.logs().decode()}")
    container.remove(force=True)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _built(*arguments: str) -> str:
    """Build an image aside, so that its tools are not loaded here; returns its name."""
    done = subprocess.run(
        [sys.executable, str(_IMAGES), *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.split()[-1]


def _compose() -> list[str]:
    """Compose as the engine's plugin, or as a command of its own."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    assert shutil.which("docker-compose"), "the lane needs docker compose"
    return ["docker-compose"]
