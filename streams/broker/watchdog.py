"""``python -m streams.broker.watchdog MARK [SCRATCH]``: brokers do not outlive their owner.

Its standard input is a pipe whose other end only the owner holds, for as long as it lives: the
kernel closes it even after SIGKILL. Each broker announces its process id on that pipe before
it becomes Java, so there is no moment in which one runs that the watchdog does not know. At
the end of the pipe it kills them and removes SCRATCH, unless the last line releases them.
"""

from __future__ import annotations

import shutil
import signal
import sys

from streams.broker.process import end

RELEASE = b"release\n"


def main() -> None:
    mark, *scratch = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = sys.stdin.buffer.readlines()
    if RELEASE in lines:
        return
    end(map(int, lines), mark, grace_s=0)
    for path in scratch:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
