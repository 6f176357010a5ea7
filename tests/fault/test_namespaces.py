"""The wire between a worker and the brokers is cut, lossy or slow: the kernel's own TCP."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from streams.testing import Kafka
from tests.integration.fleet import Fleet, now_micros

from . import namespaces
from .namespaces import Namespaces
from .proxy import Proxy

NEEDS = namespaces.needs()
pytestmark = pytest.mark.skipif(NEEDS is not None, reason=f"network namespaces: {NEEDS}")

TASKS = 800
LOST = 0.15
STRIKE_S = 8.0
"""Longer than the session (6 s) and the time-out of transactions (5 s)."""
FAULTS: dict[str, Callable[[Namespaces], None]] = {
    "cut": Namespaces.cut,
    "lossy": lambda wire: wire.lose(LOST),
    "slow": Namespaces.slow_down,
}


@pytest.mark.parametrize("how", FAULTS)
def test_a_bad_wire_loses_nothing(
    how: str, stack: ExitStack, new_fleet: Callable[[str], Fleet]
) -> None:
    wire = stack.enter_context(Namespaces())
    proxy = stack.enter_context(Proxy(name="WIRE", open_socket=wire.open_socket))
    kafka = stack.enter_context(Kafka(properties=proxy.properties))
    fleet = new_fleet(kafka.bootstrap)
    environment = {"STREAMS_BOOTSTRAP": proxy.bootstrap}
    far = fleet.start("a", wrap=wire.wrap, environment=environment)
    near = fleet.start("b")
    fleet.until(lambda: len(fleet.owned(far)) == len(fleet.owned(near)) == 3, "both own half")
    fleet.submit([{"number": n, "seconds": 0.2} for n in range(TASKS)])
    fleet.until(lambda: len(fleet.answered_by(far)) >= 20, "it works at the end of the wire")
    lost, struck_at = fleet.owned(far), now_micros()
    FAULTS[how](wire)
    time.sleep(STRIKE_S)  # the fault itself, as long as it is to last
    wire.mend()
    mended_at = now_micros()
    fleet.submit([{"number": n, "seconds": 0.1} for n in range(TASKS, TASKS + 300)])
    fleet.until_answered(60)
    fleet.until(lambda: bool(fleet.answered_by(far, since=mended_at)), "it works again")
    print(f"{how}: {fleet.recovery_s(struck_at, lost)} s to the next task of its partitions")
    fleet.verify()
    assert [far.code, near.code] == [None, None]
    for member in (far, near):
        assert "Traceback" not in member.log
        assert "bug" not in member.log


def test_namespaces_are_gone_afterwards_also_when_something_failed() -> None:
    wire = Namespaces()

    def there() -> list[bool]:
        return [(namespaces.NAMES / name).exists() for name in (wire.workers, wire.brokers)]

    def fail() -> None:
        with wire:
            assert there() == [True, True]
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert there() == [False, False]
