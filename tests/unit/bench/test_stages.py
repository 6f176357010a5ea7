from __future__ import annotations

from collections import Counter

from bench.stages import CLIENT, COMMIT, LOOP, OTHER, POLL, REST, divide, parties

MAIN = "thread (7): MainThread;<module> (bench/spine.py:99);run (uvloop/__init__.py:92)"
COMMITTER = "thread (8): x;_drive (streams/threads.py:86);run (streams/worker/commit.py:97)"


def test_threads_are_put_together_by_what_they_do() -> None:
    threads = {"MainThread": 5.0, "rdk:main": 1.0, "rdk:broker1": 2.0, "commit-noop": 4.0}
    assert parties(threads | {"poll-noop": 0.5, "heartbeat": 0.1}) == {
        LOOP: 5.0,
        COMMIT: 4.0,
        CLIENT: 3.0,
        POLL: 0.5,
        REST: 0.1,
    }


def test_the_innermost_known_frame_decides() -> None:
    stacks = [
        f"{MAIN};_attempt (streams/worker/execute.py:2);encode (streams/avro.py:9) 3",
        f"{MAIN};_attempt (streams/worker/execute.py:2);helper (somewhere/else.py:9) 2",
        f"{MAIN};_attempt (streams/worker/execute.py:2);decode (/abs/streams/avro.py:1);_read "
        "(/abs/streams/avro.py:5) 1",
        f"{MAIN} 4",
    ]
    stages = divide(stacks)[LOOP]
    assert stages == Counter({OTHER: 4, "encode": 3, "run": 2, "decode": 1})


def test_a_call_of_the_client_is_what_it_was_called_for() -> None:
    producer = "KafkaTransactionalProducer"
    stacks = [
        f"{COMMITTER};{producer}.send_offsets (streams/kafka/producer.py:1);_repeat "
        "(streams/kafka/producer.py:2) 5",
        f"{COMMITTER};{producer}.produce (streams/kafka/producer.py:3) 6",
        f"{COMMITTER};{producer}.commit (streams/kafka/producer.py:4) 7",
    ]
    assert divide(stacks) == {
        COMMIT: Counter({"begin, commit": 7, "produce": 6, "send offsets": 5})
    }


def test_imports_and_threads_of_nobody_do_not_count() -> None:
    imports = f"{MAIN};_find_and_load (<frozen importlib._bootstrap>:1176) 9"
    assert divide([imports, "thread (9): x;_run (concurrent/futures/thread.py:83) 9", ""]) == {}
