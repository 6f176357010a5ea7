"""What is decided before a broker starts: ports, identity of the data, replication."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker.cluster import Cluster, Identity
from streams.broker.config import MESSAGE_BYTES_MAX, Node, server_properties, write_properties
from streams.broker.ports import free_ports, is_free, is_open
from streams.errors import KafkaFailed, SettingsInvalid


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_passed_over(taken: int) -> None:
    assert is_open(taken)
    assert not is_free(taken)
    ports = free_ports(3, first=taken)
    assert taken not in ports
    assert ports == sorted(set(ports))
    assert all(is_free(port) for port in ports)


def test_any_ports_are_different_ones() -> None:
    assert len(set(free_ports(6))) == 6


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(taken: int, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, port=taken)
    with pytest.raises(KafkaFailed, match=f"port {taken} is in use"):
        cluster.start()


def test_data_keep_their_identity_and_number_of_brokers(tmp_path: Path) -> None:
    assert Identity.of(tmp_path) is None
    created = Identity.create(tmp_path / "data", 3)
    assert Identity.of(tmp_path / "data") == created
    assert len(created.cluster_id) == 22
    with pytest.raises(SettingsInvalid, match="3 broker"):
        Cluster(tmp_path / "data", 1).start()


def test_two_brokers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="one or three"):
        Cluster(tmp_path / "data", 2).start()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("brokers", "in_sync"), [(1, "1"), (3, "2")])
def test_every_replicated_topic_survives_what_the_cluster_promises(
    brokers: int, in_sync: str, tmp_path: Path
) -> None:
    nodes = [Node(n, 10_000 + n, 20_000 + n, tmp_path) for n in range(1, brokers + 1)]
    settings = server_properties(nodes[0], nodes)
    factors = {v for k, v in settings.items() if k.endswith("replication.factor")}
    minima = {v for k, v in settings.items() if k.endswith(("min.isr", "min.insync.replicas"))}
    assert factors == {str(brokers)}
    assert minima == {in_sync}
    assert settings["controller.quorum.voters"].count("@") == brokers
    assert settings["replica.fetch.max.bytes"] == settings["message.max.bytes"]
    assert MESSAGE_BYTES_MAX >= 4 * 1024 * 1024


def test_broker_settings_of_the_caller_go_over_the_packages_own(tmp_path: Path) -> None:
    node = Node(1, 10_001, 20_001, tmp_path)
    own = server_properties(node, [node])
    settings = server_properties(node, [node], {"auto.create.topics.enable": "true", "x.y": "z"})
    assert settings == own | {"auto.create.topics.enable": "true", "x.y": "z"}
    assert own["auto.create.topics.enable"] == "false"


def test_a_function_gives_each_broker_settings_of_its_own(tmp_path: Path) -> None:
    nodes = [Node(n, 10_000 + n, 20_000 + n, tmp_path / str(n)) for n in (1, 2, 3)]
    for node in nodes:
        write_properties(node, nodes, lambda node: {"x.y": str(node.id)})
    assert [
        line
        for node in nodes
        for line in node.properties.read_text().splitlines()
        if line.startswith("x.y=")
    ] == ["x.y=1", "x.y=2", "x.y=3"]
