"""Which rule the problems of a run break."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

ITSELF = "the run itself failed"
"""How the problem of a run begins that came to no verdict: it breaks no rule."""
CRASHES = (f"{ITSELF}*", "loop:*", "worker * ended: * died: *")
"""An exception that nobody expected: what follows of it says nothing, unless a rule names it."""
WRONG_MAX = 100
"""Seeds that fail by other rules before a planted bug counts as not found."""


def first_by(rules: Iterable[str], problems: Sequence[str]) -> str | None:
    """The first problem that breaks one of these rules; None if something crashed beside it.

    A rule is what the problem begins with, up to a colon (``I2``), or beyond it if it holds one;
    ``*`` stands for any text.
    """
    beginnings = [f"{rule if ':' in rule else rule + ':'}*" for rule in rules]
    found = None
    for problem in problems:
        if not problem.startswith(ITSELF) and _is_one(problem, beginnings):
            found = found or problem
        elif _is_one(problem, CRASHES):
            return None
    return found


def _is_one(problem: str, beginnings: Iterable[str]) -> bool:
    return any(fnmatchcase(problem, beginning) for beginning in beginnings)
