"""Which workers are alive, by what all of them say of themselves.

The brokers know it too, as members of a group. But the client's own request for them may end the
process when it times out and the coordinator comes back (librdkafka issue 4605).
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.records import Heartbeat

FRESH_S = 3.0
"""A worker that has not said anything for longer owns nothing that counts."""


class Liveness:
    """Heartbeats of the workers that are alive; one thread fills it, any may read.

    ``beats`` is the last of each, replaced whole. It is None while nothing can be said: until the
    worker has heard itself for FRESH_S, without a gap, whoever is silent may just not be heard.
    """

    def __init__(self, worker_id: str) -> None:
        self.beats: Sequence[Heartbeat] | None = None
        self._worker_id = worker_id
        self._heard: dict[str, tuple[float, Heartbeat]] = {}
        self._since: float | None = None

    def hear(self, beat: Heartbeat, now: float) -> None:
        """A heartbeat that was read at this time, in seconds of the reader's clock."""
        self._heard[beat.worker_id] = (now, beat)

    def listened(self, now: float) -> None:
        """All that was there is heard: who is still silent now counts as gone."""
        self._heard = {w: heard for w, heard in self._heard.items() if now - heard[0] <= FRESH_S}
        if self._worker_id not in self._heard:
            self.deaf()
            return
        if self._since is None:
            self._since = now
        if now - self._since >= FRESH_S:
            self.beats = tuple(b for _, b in self._heard.values() if b.state != "stopped")

    def deaf(self) -> None:
        """Nothing can be heard (any more)."""
        self._since = self.beats = None
