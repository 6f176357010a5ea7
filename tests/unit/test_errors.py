"""Errors as they are met without the command line: in a traceback, and on the wire."""

from __future__ import annotations

import subprocess
import sys

from streams.errors import TopicMissing
from streams.worker.work import report

CODE = """
from streams.errors import ExtraMissing, StreamsError
try:
    raise ExtraMissing("kafka", "the embedded Kafka")
except StreamsError as error:
    assert str(error) == error.message
    raise
"""


def test_a_traceback_ends_with_the_remedy() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=30
    )
    assert run.stderr.splitlines()[-2:] == [
        "streams.errors.ExtraMissing: the embedded Kafka needs the extra 'kafka', "
        "which is not installed",
        "hint: pip install 'agentstreams[kafka]'",
    ]


def test_an_error_without_a_remedy_has_nothing_below_it() -> None:
    assert not hasattr(TopicMissing("gone"), "__notes__")


def test_an_error_on_the_wire_keeps_message_and_remedy_apart() -> None:
    sent = report(TopicMissing("topic 'x' does not exist", hint="make it"))
    assert (sent.message, sent.hint) == ("topic 'x' does not exist", "make it")
