"""Virtual time: timers cost nothing, real events still count."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from streams.errors import UsageError
from streams.testing.time import EPOCH_MICROS, VirtualTime


def test_an_hour_of_sleep_moves_the_clock_by_an_hour() -> None:
    async def main() -> tuple[float, float, int]:
        with VirtualTime() as clock:
            await asyncio.sleep(3600)
            return asyncio.get_running_loop().time(), clock.boottime(), clock.now_micros()

    loop_time, boottime, micros = asyncio.run(main())
    assert loop_time == boottime == pytest.approx(3600, abs=1e-6)
    assert micros == EPOCH_MICROS + 3_600_000_000


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def main() -> list[tuple[float, str]]:
        fired: list[tuple[float, str]] = []
        with VirtualTime() as clock:

            async def after(seconds: float, name: str) -> None:
                await asyncio.sleep(seconds)
                fired.append((round(clock.monotonic(), 6), name))

            await asyncio.gather(after(30, "c"), after(10, "a"), after(20, "b"))
        return fired

    assert asyncio.run(main()) == [(10, "a"), (20, "b"), (30, "c")]


def test_a_timeout_is_virtual_too() -> None:
    async def main() -> float:
        with VirtualTime() as clock:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(90):
                    await asyncio.Event().wait()
            return clock.monotonic()

    assert asyncio.run(main()) == pytest.approx(90, abs=1e-6)


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> tuple[str, float, float]:
        release = threading.Event()

        def work() -> str:
            release.wait()
            return "done"

        with VirtualTime() as clock:
            asyncio.get_running_loop().call_later(1000, lambda: None)
            threading.Timer(0.05, release.set).start()
            result = await asyncio.to_thread(work)
            at_result = clock.monotonic()
            await asyncio.sleep(5)
            return result, at_result, clock.monotonic()

    assert asyncio.run(main()) == ("done", 0, pytest.approx(5, abs=1e-6))


def test_time_goes_on_after_the_awaiter_of_a_thread_was_cancelled() -> None:
    async def main() -> float:
        release = threading.Event()
        with VirtualTime() as clock:
            waiting = asyncio.create_task(asyncio.to_thread(release.wait))
            await asyncio.sleep(0)
            waiting.cancel()
            threading.Timer(0.05, release.set).start()
            await asyncio.sleep(7)
            return clock.monotonic()

    assert asyncio.run(main()) == pytest.approx(7, abs=1e-6)


def test_another_thread_wakes_a_loop_that_has_no_timers() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        with VirtualTime() as clock:
            threading.Timer(0.05, loop.call_soon_threadsafe, (woken.set,)).start()
            await woken.wait()
            return clock.monotonic()

    assert asyncio.run(main()) == 0


def test_nothing_to_do_waits_without_spinning() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        with VirtualTime():
            threading.Timer(0.5, loop.call_soon_threadsafe, (woken.set,)).start()
            before = time.thread_time()
            await woken.wait()
            return time.thread_time() - before

    # A spinning loop would use the whole half second; this is processor time, not wall time.
    assert asyncio.run(main()) < 0.25


def test_real_sockets_work() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        with here, there, VirtualTime():
            here.setblocking(False)
            there.setblocking(False)
            await loop.sock_sendall(here, b"hello")
            return await loop.sock_recv(there, 5)

    assert asyncio.run(main()) == b"hello"


def test_nested_use_is_refused() -> None:
    async def main() -> None:
        with VirtualTime(), pytest.raises(UsageError, match="virtual already"), VirtualTime():
            pass

    asyncio.run(main())


def test_timers_set_before_are_refused() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(60, lambda: None)
        with pytest.raises(UsageError, match="timers are set"), VirtualTime():
            pass

    asyncio.run(main())


def test_uvloop_is_refused_with_the_remedy() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> UsageError:
        with pytest.raises(UsageError, match="uvloop") as caught, VirtualTime():
            pass
        return caught.value

    assert "asyncio" in uvloop.run(main()).hint


def test_real_time_is_back_after_an_exception() -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()

        async def fails() -> None:
            with VirtualTime():
                await asyncio.sleep(50)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fails()
        real = abs(loop.time() - time.monotonic()) < 1
        return real and await asyncio.to_thread(lambda: True)

    assert asyncio.run(main())


def test_advance_makes_timers_due_and_never_goes_back() -> None:
    async def main() -> float:
        with VirtualTime() as clock:
            done = asyncio.create_task(asyncio.sleep(10))
            await asyncio.sleep(0)
            clock.advance(15)
            await done
            with pytest.raises(UsageError):
                clock.advance(-1)
            return clock.monotonic()

    assert asyncio.run(main()) == 15
