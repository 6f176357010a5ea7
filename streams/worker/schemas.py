"""Learns the schemas of other writers before their records are judged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from streams.avro import is_known
from streams.errors import StreamsError, TopicMissing
from streams.ports import Clock, Record

log = logging.getLogger("streams.poll")

SCHEMA_BYTES = 10
"""Marker and fingerprint at the start of a record's value."""
NOBODYS_MAX = 1_000
LIMIT_S = 60.0
AGAIN_S = 0.5


class Schemas:
    """What one consumer's thread knows of its writers' schemas. Blocks; for that thread alone."""

    def __init__(
        self,
        group: str,
        learn: Callable[[], None],
        clock: Clock,
        pause: Callable[[float], None],
        leaving: Callable[[], bool],
    ) -> None:
        """``pause`` waits the seconds given while the worker shows that it is alive."""
        self._group = group
        self._learn = learn
        self._clock = clock
        self._pause = pause
        self._leaving = leaving
        self._nobodys: set[bytes] = set()

    def know(self, records: Sequence[Record]) -> bool:
        """Read the schemas topic to its end when a record names a schema that is not known.

        Writers publish before their first record, so what is unknown after that is nobody's;
        it is not asked for again. Returns whether it was read. StreamsError if it cannot be for
        LIMIT_S.
        """
        unknown = {
            (record.value() or b"")[:SCHEMA_BYTES]
            for record in records
            if not is_known(record.value() or b"")
        } - self._nobodys
        if unknown:
            log.info("%s: reading the schemas of other writers", self._group)
            self._read()
            if len(self._nobodys) >= NOBODYS_MAX:
                self._nobodys.clear()
            self._nobodys |= {prefix for prefix in unknown if not is_known(prefix)}
        return bool(unknown)

    def _read(self) -> None:
        """Again while no broker answers: the records must be neither skipped nor refused."""
        end = self._clock.monotonic() + LIMIT_S
        while True:
            try:
                self._learn()
                return
            except TopicMissing:
                raise
            except StreamsError as error:
                if self._leaving() or self._clock.monotonic() > end:
                    raise
                log.info("%s: reading the schemas of other writers: %s", self._group, error)
            self._pause(AGAIN_S)
