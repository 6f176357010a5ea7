"""Nothing grows beyond what can be read at once. There are no exceptions to add to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("streams", "agents", "bench", "tests")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
CONSTRUCTOR_PARAMETERS_MAX = 8
LINE_MAX = 100
PRAGMAS = ("# type: ignore", "# pyright: ignore", "# noqa")

MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_large(source: str) -> Iterator[str]:
    """What in a module is larger than allowed."""
    lines = source.splitlines()
    if len(lines) > MODULE_LINES_MAX:
        yield f"the module has {len(lines)} lines of {MODULE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        # A pragma stands behind what it is about, however long that is.
        length = min(len(line), *(len(line.partition(p)[0].rstrip()) for p in PRAGMAS))
        if length > LINE_MAX:
            yield f"line {number} has {length} characters of {LINE_MAX}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.name} has {length} lines of {FUNCTION_LINES_MAX}"
            if node.name == "__init__" and parameters(node) > CONSTRUCTOR_PARAMETERS_MAX:
                yield f"the constructor in line {node.lineno} has {parameters(node)} parameters"


def parameters(function: Function) -> int:
    """How many a caller may give: all but ``self``."""
    given = function.args
    rest = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    return len(given.posonlyargs + given.args + given.kwonlyargs + rest) - 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_at_once(path: Path) -> None:
    assert list(too_large(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("x = 1\n" * 401, "the module has 401 lines of 400"),
        ("x = 1\n\ny = '" + "x" * 100 + "'", "line 3 has 106 characters of 100"),
        ("def f():\n" + "    x = 1\n" * 70, "f has 71 lines of 70"),
        (
            "class A:\n    def __init__(self, a, b, c, d, e, f, g, h, *, i): ...",
            "the constructor in line 2 has 9 parameters",
        ),
    ],
)
def test_what_is_too_large_is_found(source: str, finding: str) -> None:
    assert list(too_large(source)) == [finding]
