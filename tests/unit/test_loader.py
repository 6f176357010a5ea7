from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from streams.errors import DefinitionError, LoadFailed
from streams.loader import load

HEAD = "from __future__ import annotations\nfrom streams import Context, Retry, agent\n"


def define(name: str, *, text: str = "return text") -> str:
    return f"@agent\nasync def {name}(ctx: Context, text: str) -> str:\n    {text}\n"


def write(path: Path, *parts: str) -> Path:
    path.write_text(HEAD + "".join(parts))
    return path


def test_a_file_gives_its_agents_in_order(tmp_path: Path) -> None:
    file = write(tmp_path / "some.py", define("zeta"), define("alpha"), "again = zeta\n")
    agents = load([file])
    assert [agent.name for agent in agents] == ["zeta", "alpha"]
    assert agents[0].source == f"{file}:3"
    assert asyncio.run(agents[0](cast("Any", None), "x")) == "x"


def test_a_folder_gives_its_files_by_name(tmp_path: Path) -> None:
    write(tmp_path / "b.py", define("one"))
    write(tmp_path / "a.py", define("two"))
    write(tmp_path / "_shared.py", "raise ValueError\n")
    write(tmp_path / "c.py", "X = 1\n")
    (tmp_path / "notes.txt").write_text("no Python")
    assert [agent.name for agent in load([tmp_path])] == ["two", "one"]


def test_a_file_named_twice_is_loaded_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.py", define("one"))
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert [agent.name for agent in load([file, str(tmp_path), link])] == ["one"]


def test_files_do_not_see_installed_names_nor_hide_them(tmp_path: Path) -> None:
    before = list(sys.path)
    file = write(tmp_path / "json.py", "import json\nassert json.dumps\n", define("one"))
    load([file])
    assert sys.path == before
    assert sys.modules["json"].__file__ != str(file)


def test_an_edit_is_seen_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.py", define("one"))
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    assert load([file])[0].name == "one"
    write(file, define("two"))
    os.utime(file, ns=times)  # same size, same time
    assert load([file])[0].name == "two"
    assert not (tmp_path / "__pycache__").exists()


def test_models_of_the_file_can_refer_to_each_other(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.py",
        "from dataclasses import dataclass\n@dataclass\nclass Tree:\n    leaves: list[Leaf]\n",
        "@dataclass\nclass Leaf:\n    n: int\n",
        "@agent\nasync def walk(ctx: Context, tree: Tree) -> int:\n    return 1\n",
    )
    (walk,) = load([file])
    assert walk.parse_input(b'{"leaves": [{"n": 5}]}').leaves[0].n == 5


def test_an_error_in_the_file_shows_the_frames_of_its_author(tmp_path: Path) -> None:
    file = write(tmp_path / "a.py", "def inner():\n    return 1 / 0\n", "inner()\n")
    with pytest.raises(LoadFailed) as caught:
        load([file])
    message = str(caught.value)
    assert f'File "{file}", line 5, in <module>' in message
    assert "return 1 / 0" in message
    assert message.endswith("ZeroDivisionError: division by zero")
    assert "loader.py" not in message
    assert "importlib" not in message
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    assert str(file) not in loaded


def test_frames_of_python_and_of_packages_are_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "a.py", "import json\njson.loads('{')\n")
    with pytest.raises(LoadFailed, match="JSONDecodeError") as caught:
        load([file])
    assert str(caught.value).count("  File ") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(:\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("import no_such_module_x\n", "No module named 'no_such_module_x'"),
    ],
)
def test_whatever_goes_wrong_names_the_file(tmp_path: Path, text: str, expected: str) -> None:
    file = write(tmp_path / "a.py", text)
    with pytest.raises(LoadFailed, match="cannot be loaded") as caught:
        load([file])
    assert expected in str(caught.value)
    assert str(file) in str(caught.value)


def test_an_import_of_a_neighbour_is_explained(tmp_path: Path) -> None:
    write(tmp_path / "neighbour_x.py", define("one"))
    file = write(tmp_path / "a.py", "from neighbour_x import one\n")
    with pytest.raises(LoadFailed) as caught:
        load([file])
    assert "cannot import each other" in caught.value.hint


def test_a_wrong_definition_stays_one_with_its_place(tmp_path: Path) -> None:
    file = write(tmp_path / "a.py", "def _retry():\n    return Retry(9)\n", "retry = _retry()\n")
    with pytest.raises(DefinitionError, match="add up to") as caught:
        load([file])
    assert caught.value.where == f"{file}:4"
    file = write(tmp_path / "b.py", "@agent\nasync def f(ctx: Context, x: str):\n    pass\n")
    with pytest.raises(DefinitionError, match="no annotation") as caught:
        load([file])
    assert caught.value.where == f"{file}:3"
    assert str(caught.value).count(str(file)) == 1


def test_two_agents_of_one_name_are_both_named(tmp_path: Path) -> None:
    first = write(tmp_path / "a.py", define("one"))
    second = write(tmp_path / "b.py", define("one"))
    with pytest.raises(DefinitionError, match="two agents are named 'one'") as caught:
        load([first, second])
    assert f"{first}:3" in str(caught.value)
    assert f"{second}:3" in str(caught.value)


def test_what_gives_no_agents_is_an_error(tmp_path: Path) -> None:
    empty = write(tmp_path / "a.py")
    folder = tmp_path / "folder"
    folder.mkdir()
    text = tmp_path / "a.txt"
    text.write_text("")
    for path, message in [
        (empty, "no agent is defined"),
        (folder, "no file of agents"),
        (text, "no Python file"),
        (tmp_path / "none.py", "does not exist"),
    ]:
        with pytest.raises(LoadFailed, match=message) as caught:
            load([path])
        assert str(path) in str(caught.value)
        assert caught.value.hint
