"""``streams dev`` as a person uses it: in one terminal, and submitting from another."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from streams.broker import project, state
from streams.broker.ports import free_ports

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]
AGENT = """
from streams import Context, agent

@agent
async def greet(ctx: Context, name: str) -> str:
    if name == "nobody":
        raise ValueError("nobody is there")
    return f"hello {name}"
"""


class Dev:
    """A ``streams dev`` that runs in a directory; all that it prints is in ``said``."""

    def __init__(self, directory: Path, *options: str, **env: str) -> None:
        self.directory = directory
        self._env = _environment() | env
        self._file = directory / "dev.out"
        with self._file.open("wb") as out:
            self.process = subprocess.Popen(
                [*STREAMS, "dev", *options],
                cwd=directory,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._env,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._file.read_text()

    def until_said(self, text: str, times: int = 1) -> None:
        until(lambda: self.said.count(text) >= times, f"{text!r} in:", lambda: self.said)

    def family(self) -> list[psutil.Process]:
        """It, its worker, its brokers and their watchdog."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def worker(self) -> psutil.Process:
        (found,) = [p for p in self.family() if "streams.dev.child" in p.cmdline()]
        return found

    def submit(self, agent: str, name: str) -> str:
        """Submit from another terminal, and wait for the output."""
        run = subprocess.run(
            [*STREAMS, "task", "submit", agent, json.dumps(name), "--wait", "--timeout", "60"],
            cwd=self.directory,
            capture_output=True,
            text=True,
            env=self._env,
            timeout=90,
        )
        assert run.stdout, run.stderr
        return json.loads(run.stdout)["output"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A project with one agent."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "greet.py").write_text(AGENT)
    return tmp_path


@pytest.fixture
def start(directory: Path) -> Iterator[Callable[..., Dev]]:
    """Starts ``streams dev``; what is left of it at the end is killed."""
    started: list[Dev] = []

    def begin(*options: str, **env: str) -> Dev:
        started.append(Dev(directory, *options, **env))
        return started[-1]

    yield begin
    for dev in started:
        # Its worker and brokers end with it, which is tested here.
        if dev.process.poll() is None:
            dev.process.kill()
            dev.process.wait()


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("STREAMS_")} | {"NO_COLOR": "1"}


def free_port() -> str:
    return str(free_ports(1)[0])


def until(
    condition: Callable[[], bool], what: str, told: Callable[[], str] = str, seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}\n{told()}"
        time.sleep(0.05)


def gone(family: list[psutil.Process]) -> bool:
    return not any(_lives(process) for process in family)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_five_minutes_with_dev(directory: Path, start: Callable[..., Dev]) -> None:
    file = directory / "agents" / "greet.py"
    dev = start("--port", free_port())
    dev.until_said("""streams task submit greet '"hello"' --wait""")
    dev.until_said("Ctrl-C ends all")

    assert dev.submit("greet", "Ada") == "hello Ada"
    dev.until_said("succeeded")
    assert '"hello Ada"' in dev.said

    # A failure: attempts as they fail, then the result with the author's own frame.
    dev.submit("greet", "nobody")
    dev.until_said("attempt 3  ValueError: nobody is there")
    assert "attempt 1 of 3 failed" in dev.said
    assert 'agents/greet.py:7 in greet: raise ValueError("nobody is there")' in dev.said

    # An edit, with a new agent: loaded, its topics made, its command offered.
    shout = "\n@agent\nasync def shout(ctx: Context, text: str) -> str:\n    return text.upper()\n"
    file.write_text(AGENT.replace("hello {", "bye {") + shout)
    dev.until_said("reloaded greet v1, shout v1")
    dev.until_said("""streams task submit shout '"hello"' --wait""")
    assert dev.submit("greet", "Ada") == "bye Ada"
    assert dev.submit("shout", "hi") == "HI"

    # A mistake: shown with the author's own line; what ran before goes on.
    worker = dev.worker()
    file.write_text(AGENT.replace('raise ValueError("nobody is there")', "raise ValueError("))
    dev.until_said("the worker before this change goes on")
    assert "error[E0130]: agents/greet.py cannot be loaded:" in dev.said
    assert "raise ValueError(" in dev.said
    assert dev.submit("greet", "Ada") == "bye Ada"
    assert dev.worker() == worker

    # A worker that is killed comes back.
    worker.kill()
    file.write_text(AGENT)
    dev.until_said("reloaded greet v1 ")
    dev.worker().kill()
    dev.until_said("the worker ended (killed by SIGKILL); it starts again in 0.5 s")
    dev.until_said("started again greet v1")
    assert dev.submit("greet", "Bob") == "hello Bob"

    family = dev.family()
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(30) == 0
    until(lambda: gone(family), "no process is left")
    assert state.read(directory) is None
    assert "\x1b" not in dev.said


def test_a_killed_dev_leaves_no_process(start: Callable[..., Dev]) -> None:
    dev = start("--port", free_port())
    dev.until_said("Ctrl-C ends all")
    family = dev.family()
    assert len(family) >= 4, [p.cmdline() for p in family]
    dev.process.kill()
    until(lambda: gone(family[1:]), "no process is left", seconds=20)


def test_a_second_interrupt_ends_at_once(directory: Path, start: Callable[..., Dev]) -> None:
    slow = AGENT.replace("return f", "import asyncio; await asyncio.sleep(600); return f")
    (directory / "agents" / "greet.py").write_text(slow)
    dev = start("--port", free_port())
    dev.until_said("Ctrl-C ends all")
    family = dev.family()
    # Stopped, the worker cannot end: only the second interrupt does not wait for it.
    dev.worker().suspend()
    dev.process.send_signal(signal.SIGINT)
    dev.until_said("Ctrl-C again ends at once")
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(10) == 130
    until(lambda: gone(family), "no process is left", seconds=20)


def test_dev_joins_a_kafka_that_is_up_and_leaves_it(
    directory: Path, start: Callable[..., Dev]
) -> None:
    up = [*STREAMS, "kafka", "up", "--port", free_port()]
    subprocess.run(up, cwd=directory, env=_environment(), check=True, timeout=90)
    running = state.find_running(directory)
    assert running is not None
    try:
        # Asking for another port than the one in use is a conflict, and is said.
        other = start("--port", free_port())
        assert other.process.wait(30) == 5
        assert "a Kafka runs here already" in other.said

        dev = start("--port", running.bootstrap.rpartition(":")[2])
        dev.until_said("was up already and stays")
        dev.until_said("Ctrl-C ends all")
        assert dev.submit("greet", "Ada") == "hello Ada"
        dev.process.send_signal(signal.SIGTERM)
        assert dev.process.wait(30) == 0
        assert running.alive
    finally:
        project.down(directory)


def test_fresh_wipes_what_was_there(directory: Path, start: Callable[..., Dev]) -> None:
    def tasks(dev: Dev) -> list[str]:
        words = ["task", "list", "--agent", "greet", "-o", "jsonl"]
        run = subprocess.run(
            [*STREAMS, *words], cwd=directory, env=_environment(), capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    for options, before in (((), 0), ((), 1), (("--fresh",), 0)):
        dev = start("--port", free_port(), *options)
        dev.until_said("Ctrl-C ends all")
        assert len(tasks(dev)) == before, options
        if not before:
            assert dev.submit("greet", "Ada") == "hello Ada"
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(30) == 0


def test_dev_without_agents_says_how_to_make_one(
    directory: Path, start: Callable[..., Dev]
) -> None:
    dev = start("nowhere")
    assert dev.process.wait(30) == 2
    assert "error[E0130]: nowhere does not exist" in dev.said
    assert "streams init NAME" in dev.said
    assert not (directory / ".streams").exists()


def test_a_broker_that_is_configured_is_used_and_none_is_started(
    directory: Path, start: Callable[..., Dev], kafka: str
) -> None:
    env = {"STREAMS_BOOTSTRAP": kafka, "STREAMS_PREFIX": f"dev{uuid.uuid4().hex[:8]}"}
    other = start("--fresh", **env)
    assert other.process.wait(30) == 2
    assert f"{kafka} is named by STREAMS_BOOTSTRAP" in other.said

    dev = start(**env)
    dev.until_said(f"{kafka} (from STREAMS_BOOTSTRAP)")
    dev.until_said("Ctrl-C ends all")
    assert dev.submit("greet", "Ada") == "hello Ada"
    assert len(dev.family()) == 2  # itself and its worker
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(30) == 0
    assert not (directory / ".streams" / "kafka").exists()


def test_dev_ends_when_its_kafka_does(start: Callable[..., Dev]) -> None:
    dev = start("--port", free_port())
    dev.until_said("Ctrl-C ends all")
    family = dev.family()
    (broker,) = [p for p in family if p.name() == "java"]
    broker.kill()
    assert dev.process.wait(30) == 1
    assert "error[E0810]: the Kafka at" in dev.said
    assert "broker.log" in dev.said
    until(lambda: gone(family), "no process is left")
