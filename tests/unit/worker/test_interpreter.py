"""What a process of its own sets of its interpreter."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from streams.worker.interpreter import dedicate
dedicate()
assert gc.isenabled() and gc.get_freeze_count() > 1_000, gc.get_freeze_count()
class Node: pass
for _ in range(1_000_000):
    node = Node(); node.self = node
alive = sum(isinstance(found, Node) for found in gc.get_objects())
assert alive < 500_000, alive
"""


def test_cycles_are_still_found() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
