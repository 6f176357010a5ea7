"""The log of a group's coordinator, read while others go on to commit."""

from __future__ import annotations

import threading
import time

import pytest

from streams.kafka.log import KafkaLog
from streams.ports import Committed, TopicSpec

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

GROUP, TOPIC = "pool.busy", "tasks.busy"
READY_S = 30.0
COMMITS = 20


def test_it_is_read_to_the_end_that_was_and_not_for_ever(kafka: str) -> None:
    log = KafkaLog(kafka)
    log.admin().create_topics([TopicSpec(TOPIC, 2)])
    consumer = log.group_consumer(group=GROUP, topic=TOPIC, client_id="busy", slot=None)
    producer = log.transactional_producer("busy", group=GROUP)
    producer.init(READY_S)
    commits, enough = 0, threading.Event()

    def commit(partition: int, offset: int) -> None:
        producer.begin()
        producer.send_offsets(TOPIC, {partition: Committed(offset, "map")}, consumer.membership())
        producer.commit(READY_S)

    def go_on() -> None:
        nonlocal commits
        while not enough.is_set():
            commit(1, commits + 1)
            commits += 1

    commit(0, 5)
    busy = threading.Thread(target=go_on)
    busy.start()
    try:
        for _ in range(3):
            before, end = commits, time.monotonic() + READY_S
            while commits < before + COMMITS:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert log.admin().committed_in_log(GROUP, TOPIC, [0]) == {0: Committed(5, "map")}
        assert busy.is_alive()
    finally:
        enough.set()
        busy.join()
        consumer.close()
        producer.destroy()
