"""Reads the results of agents as they are committed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import cast

from streams.catalog import Catalog
from streams.errors import RecordUndecodable
from streams.inspect.show import Decoder
from streams.ports import Log, Stepper, TopicPartition
from streams.records import Result

log = logging.getLogger("streams.dev")

POLL_S = 0.1
BATCH_MAX = 500


class Tail:
    """Gives each new result to ``on_result``, on the thread that drives ``run``."""

    def __init__(
        self, source: Log, catalog: Catalog, on_result: Callable[[Result[bytes]], None]
    ) -> None:
        self._log = source
        self._reader = source.reader()
        self._decoder = Decoder(catalog)
        self._on_result = on_result
        self._lock = threading.Lock()
        self._wanted: dict[TopicPartition, int] = {}
        self._assigned: dict[TopicPartition, int] = {}
        self._stopping = False

    def follow(self, topics: Iterable[tuple[str, int]]) -> None:
        """Follow these topics (name, partitions) too, from their ends as of now; blocks."""
        known = {topic for topic, _ in self._wanted}
        for topic, partitions in topics:
            if topic not in known:
                bounds = self._log.admin().bounds(topic, range(partitions))
                with self._lock:
                    self._wanted |= {(topic, p): b.end for p, b in bounds.items()}

    def stop(self) -> None:
        self._stopping = True

    def run(self) -> Stepper:
        """Read until stopped."""
        try:
            while not self._stopping:
                with self._lock:
                    wanted = dict(self._wanted)
                if wanted != self._assigned:
                    self._reader.assign(wanted)
                    self._assigned = wanted
                consumed = self._reader.consume(BATCH_MAX, POLL_S)
                for error in consumed.errors:
                    log.info("following results: %s", error)
                for record in consumed.records:
                    self._take(record.value() or b"")
                yield None
        finally:
            self._reader.close()

    def _take(self, data: bytes) -> None:
        try:
            result = self._decoder.decode(data)
        except RecordUndecodable as error:
            log.warning("a result cannot be read: %s", error)
            return
        if isinstance(result, Result):
            self._on_result(cast("Result[bytes]", result))
