"""A real Kafka for tests: a cluster of this machine that ends with its process."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.broker.cluster import ANY_PORT, Cluster
from streams.broker.config import Properties


class Kafka:
    """One or three brokers on any free ports and temporary data.

    ``properties`` are broker settings over the package's own, or a function that gives them for
    each broker's node. A context manager, sync and async; brokers count from 1. When the process
    ends, however it ends, the brokers end and the data are removed; those in a folder that is
    given (``data``) stay there, with the brokers' logs. Raises KafkaFailed, ExtraMissing.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        properties: Properties | None = None,
        data: Path | None = None,
    ) -> None:
        self._brokers = brokers
        self._properties = properties
        self._data = data
        self._cluster: Cluster | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, separated by commas."""
        return self._started.bootstrap

    def start(self) -> None:
        """Return when all brokers serve."""
        data, scratch = self._data, None
        if data is None:
            scratch = Path(tempfile.mkdtemp(prefix="streams-kafka-"))
            data = scratch / "data"
        self._cluster = Cluster(
            data, self._brokers, port=ANY_PORT, scratch=scratch, properties=self._properties
        )
        self._cluster.start()

    def stop(self) -> None:
        """Kill all brokers and remove the data, unless they are in a folder that was given."""
        self._started.kill_all()
        self._cluster = None

    def kill(self, n: int) -> None:
        """SIGKILL broker ``n``; returns when it is gone."""
        self._started.kill(n)

    def pause(self, n: int) -> None:
        """SIGSTOP broker ``n``: it stays connected and answers nothing."""
        self._started.pause(n)

    def resume(self, n: int) -> None:
        """SIGCONT broker ``n``."""
        self._started.resume(n)

    def restart(self, n: int) -> None:
        """Start broker ``n`` again on its port and data, killing it first if it runs."""
        self._started.restart(n)

    def pid(self, n: int) -> int:
        """The process id of broker ``n``."""
        return self._started.pids[n]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def _started(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("this Kafka is not started: use it in a with statement")
        return self._cluster
