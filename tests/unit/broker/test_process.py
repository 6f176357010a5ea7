"""Which processes count as alive, and that those meant to end do end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.broker import process
from streams.broker.watchdog import RELEASE
from streams.processes import is_alive, is_stopped

MARK = "broker-of-this-test"
READY = "print('ready', flush=True);"

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code that prints 'ready' and whose command line carries the mark."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, MARK]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


WAIT = f"import signal; {READY} signal.pause()"
DEAF = f"import signal; signal.signal(15, signal.SIG_IGN); {READY}\nwhile True: signal.pause()"


def test_a_process_is_alive_only_under_its_own_mark(start: Start) -> None:
    child = start(WAIT)
    assert is_alive(child.pid, MARK)
    assert not is_alive(child.pid, "another")


def test_a_process_that_becomes_another_program_is_alive(tmp_path: Path) -> None:
    script = tmp_path / "again.sh"
    script.write_text(f"exec /bin/sh {script} {MARK}\n")
    with subprocess.Popen(["/bin/sh", script, MARK]) as child:
        try:
            # One in ten looks falls into the moment without a command line.
            assert all(is_alive(child.pid, MARK) for _ in range(1_000))
        finally:
            child.kill()


def test_a_process_that_nobody_collected_is_dead(start: Start) -> None:
    child = start(WAIT)
    process.end([child.pid], MARK, grace_s=10)
    assert child.returncode is None  # a zombie: we have not waited for it
    assert not is_alive(child.pid, MARK)
    assert child.wait() == -signal.SIGTERM


def test_a_process_deaf_to_sigterm_is_killed(start: Start) -> None:
    child = start(DEAF)
    process.end([child.pid], MARK, grace_s=0.1)
    assert child.wait() == -signal.SIGKILL


def test_a_stopped_process_is_alive_and_can_be_ended(start: Start) -> None:
    child = start(WAIT)
    process.send(child.pid, signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    assert is_stopped(child.pid)
    assert is_alive(child.pid, MARK)
    process.end([child.pid], MARK, grace_s=10)
    assert child.wait() == -signal.SIGTERM


def test_a_number_that_went_to_another_process_is_left_alone(start: Start) -> None:
    child = start(WAIT)
    process.end([child.pid], "another", grace_s=0)
    assert child.poll() is None


def test_the_watchdog_kills_what_was_announced_and_removes_the_scratch(
    start: Start, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "data").mkdir(parents=True)
    announced, other = start(WAIT), start(WAIT)
    command = [sys.executable, "-m", "streams.broker.watchdog", MARK, str(scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as watchdog:
        assert watchdog.stdin is not None
        print(announced.pid, file=watchdog.stdin, flush=True)
        assert announced.poll() is None  # as long as the pipe is open, nothing ends
        watchdog.stdin.close()
        assert watchdog.wait() == 0
    assert announced.wait() == -signal.SIGKILL
    assert other.poll() is None
    assert not scratch.exists()


def test_the_watchdog_lets_go_what_was_released(start: Start, tmp_path: Path) -> None:
    child = start(WAIT)
    command = [sys.executable, "-m", "streams.broker.watchdog", MARK, str(tmp_path)]
    words = f"{child.pid}\n{RELEASE.decode()}"
    subprocess.run(command, input=words, text=True, check=True, timeout=30)
    assert child.poll() is None
    assert tmp_path.exists()
