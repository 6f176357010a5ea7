"""`streams demo` as a person meets it: its proof, its end, and its end by force."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

STREAMS = [sys.executable, "-c", "from streams.cli import main; main()"]
ROOT = Path(__file__).resolve().parents[2]
GONE_S = 20.0


class Demo:
    """A running demo; it writes its temporary files into ``scratch``."""

    def __init__(self, scratch: Path, *arguments: str, **env: str) -> None:
        self.scratch = scratch
        self._process = subprocess.Popen(
            [*STREAMS, "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=scratch,
            env={**os.environ, "TMPDIR": str(scratch), "NO_COLOR": "1", **env},
            start_new_session=True,
        )
        self.said: list[str] = []
        self.children: list[psutil.Process] = []

    def until(self, words: str) -> str:
        """Read what it says up to a line with these words, which is returned."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line)
            if words in line:
                self.children += psutil.Process(self._process.pid).children(recursive=True)
                return line
        pytest.fail(f"it never said '{words}':\n{''.join(self.said)}")

    def signal(self, number: signal.Signals) -> None:
        """To the whole group in the foreground, as Ctrl-C does; SIGKILL to the demo alone."""
        send = os.kill if number == signal.SIGKILL else os.killpg
        send(self._process.pid, number)

    def end(self) -> tuple[int, str]:
        """Exit code and report; fails if any process or file of its is left."""
        out, err = self._process.communicate(timeout=120)
        self.said.append(err)
        _, alive = psutil.wait_procs(self.children, GONE_S)
        assert alive == []
        return self._process.returncode, out

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def demo(scratch: Path, *arguments: str, **env: str) -> Iterator[Demo]:
    running = Demo(scratch, *arguments, **env)
    try:
        yield running
    finally:
        running.close()


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, f"no {pattern!r} in:\n{text}"
    return int(found[1].replace(",", ""))


def test_the_demo_proves_that_a_crash_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        killed = running.until("killed with SIGKILL")
        back = running.until("is back in its slot")
        assert len(running.children) >= 6, "two workers, a broker and its watchdog, seen twice"
        code, report = running.end()
    assert code == 0, "".join(running.said) + report
    results = number(r"at ([\d,]+) results", killed)
    assert number(r"holding ([\d,]+) unfinished tasks", killed) > 0
    assert number(r"pid (\d+)", killed) != number(r"pid (\d+)", back)

    answered = number(r"submitted = answered\s+[\d,]+ = ([\d,]+)", report)
    assert number(r"submitted = answered\s+([\d,]+) = ", report) == answered
    documents = number(r"([\d,]+) by the demo", report)
    assert number(r"([\d,]+) by digest", report) == documents == answered / 2
    assert documents > results >= number(r"documents in ([\d,]+) pieces", running.said[0]) / 2
    assert number(r"duplicates\s+([\d,]+)", report) == 0
    assert re.search(r"recovery\s+\d+\.\d+ s", report)
    assert "✗" not in report
    assert cost(report, "digest") + cost(report, "index") == cost(report, "in all") > 0
    assert list(tmp_path.iterdir()) == []


def cost(report: str, row: str) -> int:
    """Micros in a row of the costs."""
    found = re.search(rf"^{row}\s.*\$(\d+)\.(\d{{6}})\s*$", report, re.MULTILINE)
    assert found, f"no costs of {row} in:\n{report}"
    return int(found[1] + found[2])


def test_it_does_the_same_with_files_of_the_user(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "bees.txt").write_text("The honey bee is a flying insect. A honey bee makes honey.")
    (files / "[b]odd.md").write_text("Odd names are names too.\n\n" + "Kafka keeps a log. " * 200)
    with demo(tmp_path, "files/bees.txt", "files/[b]odd.md") as running:
        running.until("2 documents in 4 pieces")
        running.until("all is answered")
        code, report = running.end()
    assert code == 0, "".join(running.said) + report
    assert re.search(r"^files/bees\.txt +.*honey bee", report, re.MULTILINE)
    assert re.search(r"^files/\[b\]odd\.md +.*kafka", report, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as its wheel holds it: no repository is around it."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(folder)
    return folder


def test_it_runs_from_the_installed_package(tmp_path: Path, installed: Path) -> None:
    (tmp_path / "bees.txt").write_text("The honey bee is a flying insect. A honey bee makes honey.")
    with demo(tmp_path, "bees.txt", PYTHONPATH=str(installed)) as running:
        running.until("Apache Kafka 4")
        workers = [
            words for p in running.children if "streams.demo.worker" in (words := p.cmdline())
        ]
        assert len(workers) == 2
        agents = installed / "streams" / "_data" / "agents"
        assert all(any(word.startswith(str(agents)) for word in words) for words in workers)
        code, report = running.end()
    assert code == 0, "".join(running.said) + report
    assert re.search(r"^bees\.txt +.*honey bee", report, re.MULTILINE)
    assert "✗" not in report


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\xff\xfe")
    with demo(tmp_path, "bad") as running:
        code, report = running.end()
    assert (code, report) == (2, "")
    assert "error[E0110]: bad cannot be read as text" in running.said[-1]


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [
        (signal.SIGINT, 130, "killed with SIGKILL"),
        (signal.SIGTERM, -15, "Apache Kafka 4"),
        (signal.SIGKILL, -9, "Apache Kafka 4"),
        (signal.SIGKILL, -9, "killed with SIGKILL"),
    ],
)
def test_everything_ends_with_the_demo(
    tmp_path: Path, number: signal.Signals, code: int, moment: str
) -> None:
    with demo(tmp_path) as running:
        running.until(moment)
        running.signal(number)
        assert running.end() == (code, "")
        assert len(running.children) >= 4
    leftovers = list(tmp_path.iterdir())
    assert leftovers == [], "the watchdog removes them before it ends"
