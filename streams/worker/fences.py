"""How often a slot was fenced: once or twice happens, again and again means another owner."""

from __future__ import annotations

from streams.errors import SlotInUse
from streams.ports import Clock

FENCES_MAX = 3
FENCES_WINDOW_S = 30.0


class Fences:
    """Counts the fencings of one slot of a group as one party sees them."""

    def __init__(self, group: str, transactional_id: str, clock: Clock) -> None:
        self._group = group
        self._transactional_id = transactional_id
        self._clock = clock
        self._recent: list[float] = []

    def count(self) -> None:
        """It was fenced once more; SlotInUse at FENCES_MAX within FENCES_WINDOW_S."""
        now = self._clock.monotonic()
        self._recent = [at for at in self._recent if now - at < FENCES_WINDOW_S] + [now]
        if len(self._recent) >= FENCES_MAX:
            raise self.slot_in_use()

    def slot_in_use(self) -> SlotInUse:
        """The error that ends this process; supervisors do not restart it (exit code 5)."""
        slot = self._transactional_id.removeprefix(f"{self._group}.")
        return SlotInUse(
            f"another process uses slot '{slot}' of group '{self._group}'",
            hint="give each worker its own --slot, or stop the other one",
        )
