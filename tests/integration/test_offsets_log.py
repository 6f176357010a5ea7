"""The log of a group's coordinator, read while others go on to commit."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.kafka.log import KafkaLog
from streams.ports import Committed, TopicSpec

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

GROUP, TOPIC = "pool.busy", "tasks.busy"
READY_S = 30.0
COMMITS = 20
LONG, NOTE, COMMITS_LONG = 100, "x" * 300, 3_000
"""Some 100 MB, in commits of so many partitions with a note each."""
READ = """
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from streams.kafka.log import KafkaLog

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

admin = KafkaLog(sys.argv[1]).admin()
admin.committed_in_log(f"{sys.argv[2]}-other", "tasks.long", [0])
before = held()
with ThreadPoolExecutor(2) as pools:
    for _ in range(8):
        list(pools.map(lambda group: admin.committed_in_log(group, "tasks.long", range(100)),
                       [sys.argv[2]] * 2))
print(held() - before)
"""
MORE_BYTES = 96 * 2**20


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_pools_that_read_a_long_one_again_and_again_hold_little_of_it(kafka: str) -> None:
    group, topic = "pool.long", "tasks.long"
    member = Consumer({"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False})
    KafkaLog(kafka).admin().create_topics([TopicSpec(topic, LONG)])
    for offset in range(COMMITS_LONG):
        places = [TopicPartition(topic, p, offset, metadata=NOTE) for p in range(LONG)]
        member.commit(offsets=places, asynchronous=False)
    member.close()
    read = subprocess.run(
        [sys.executable, "-c", READ, kafka, group], capture_output=True, text=True, check=True
    )
    assert int(read.stdout) < MORE_BYTES
