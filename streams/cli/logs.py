"""Logging of commands that run for long: one line per event on stderr."""

from __future__ import annotations

import logging
import sys
import time


class _Lines(logging.Formatter):
    """``TIME LEVEL logger message``, with a traceback below it where there is one."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


def log_to_stderr(verbose: bool) -> None:
    """Show warnings and what agents log; with ``verbose`` also what the runtime does."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("streams").setLevel(logging.DEBUG if verbose else logging.WARNING)
    if verbose:
        logging.getLogger("streams.kafka.client").setLevel(logging.DEBUG)
    logging.getLogger("streams.task").setLevel(logging.INFO)
