"""``streams topic``: what is planned, made and refused, on a real Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from streams.testing import Kafka

from .place import Place

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_topics_are_planned_made_and_listed(place: Place) -> None:
    plan = place.run("topic", "plan", "agents.py", "--partitions", "3")
    assert {row["action"] for row in plan.rows} == {"create"}
    assert "10 topics; 10 to make with 27 partitions" in plan.err
    assert plan.err.endswith("make them: streams topic apply agents.py --partitions 3\n")
    words = ("--bootstrap", place.bootstrap, "--prefix", f"{place.prefix}-other")
    other = place.run("topic", "plan", "agents.py", *words)
    assert other.err.endswith(f"streams topic apply agents.py {' '.join(words)}\n")
    assert place.run("topic", "list").rows == []
    nothing = place.run("group", "list")
    assert (nothing.out, nothing.err.partition(";")[0]) == ("", "no groups here")
    assert len(place.run("topic", "apply", "agents.py", "--partitions", "3").rows) == 10
    assert place.run("topic", "apply", "agents.py").rows == []
    again = place.run("topic", "plan", "agents.py").rows
    assert {row["action"] for row in again} == {"keep"}
    differs = place.run("topic", "plan", "agents.py", "--partitions", "5", code=5)
    assert "3 partitions, not 5" in differs.out
    place.run("topic", "apply", "agents.py", "--partitions", "5", code=5)
    listed = {row["topic"]: row["partitions"] for row in place.run("topic", "list").rows}
    assert listed[f"{place.prefix}.tasks.greet"] == 3
    one = place.run("topic", "get", f"{place.prefix}.tasks.greet").row
    assert one["config"]["message.timestamp.type"] == "LogAppendTime"
    agents = {row["agent"]: row for row in place.run("agent", "list").rows}
    assert agents["greet"]["description"] == "Greets, for a price."
    assert {row["state"] for row in place.run("group", "list").rows} == {"empty"}
    assert place.run("agent", "get", "ship").row["input_schema"]["required"] == ["customer", "item"]


def test_partitions_raised_by_other_hands_are_not_taken_onto_the_card(applied: Place) -> None:
    topic = f"{applied.prefix}.tasks.greet"
    admin = AdminClient({"bootstrap.servers": applied.bootstrap})
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    applied.until(lambda: applied.run("topic", "get", topic).row["partitions"] == 5)
    for words in ("topic plan", "topic apply", "worker run"):
        refused = applied.run(*words.split(), "agents.py", code=5)
        assert "5 partitions, its card says 3" in refused.out + refused.err
        assert "hint: the number of partitions is fixed" in refused.err


def test_a_cluster_too_small_for_its_replicas_is_named_by_plan_and_apply(tmp_path: Path) -> None:
    with Kafka(properties={"default.replication.factor": "3"}) as kafka:
        small = Place(tmp_path, kafka.bootstrap)
        assert "start more brokers or lower" in small.run("topic", "plan", "agents.py").err
        refused = small.run("topic", "apply", "agents.py", code=1)
    assert "INVALID_REPLICATION_FACTOR: topic '" in refused.err
    assert "hint: start more brokers, or lower the brokers' default" in refused.err
