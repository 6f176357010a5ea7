"""Loads agents from files.

A file is run under a private module name, and its folder is not put on ``sys.path``: files of
agents cannot import each other, and their names (``agents``, ``search``) cannot hide or be
hidden by an installed package. Shared code belongs in a package; an agent that submits to one
in another file uses an ``Address``.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, cast

from streams.agent import Agent
from streams.errors import DefinitionError, LoadFailed, StreamsError


def load(paths: Sequence[str | Path]) -> list[Agent[Any, Any]]:
    """The agents defined in files, in the order of the files and of the definitions in them.

    A folder stands for all its ``*.py`` that do not start with ``_``, by name. Raises
    LoadFailed for a file that fails (with the user's own frames), a missing one, a named file
    or a folder without agents; DefinitionError for wrong definitions and for two agents of
    one name.
    """
    found: dict[str, Agent[Any, Any]] = {}
    loaded: set[Path] = set()
    for given in map(Path, paths):
        # Resolved, so that a file that is named twice is loaded once.
        fresh = [file for file in _files(given) if file not in loaded]
        loaded.update(fresh)
        agents = [agent for file in fresh for agent in _agents_of(_run(file))]
        if fresh and not agents:
            raise LoadFailed(
                f"no agent is defined in {given}",
                hint="an agent is an async function under @agent; one that is only imported "
                "is loaded from its own file",
            )
        for agent in agents:
            other = found.setdefault(agent.name, agent)
            if other is not agent:
                raise DefinitionError(
                    f"two agents are named '{agent.name}'; the other is at {other.source}",
                    hint="give one of them another name: @agent(name=...)",
                    where=agent.source,
                )
    return list(found.values())


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in path.glob("*.py") if not file.name.startswith("_")]
        if not files:
            raise LoadFailed(f"no file of agents is in {path}", hint="agents are in *.py files")
        return sorted(file.resolve() for file in files)
    if not path.is_file():
        raise LoadFailed(f"{path} does not exist", hint="give a file of agents, or a folder")
    if path.suffix != ".py":
        raise LoadFailed(f"{path} is no Python file", hint="agents are in *.py files")
    return [path.resolve()]


class _SourceOnly(SourceFileLoader):
    """Runs what the file says now: cached bytecode misses an edit within a second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _run(file: Path) -> ModuleType:
    name = f"_streams_agents_{hashlib.sha256(bytes(file)).hexdigest()[:16]}"
    spec = spec_from_file_location(name, file, loader=_SourceOnly(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Known while it runs, for dataclasses and pydantic look up names in their module.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _explained(error, file) from error
    return module


def _agents_of(module: ModuleType) -> Iterator[Agent[Any, Any]]:
    """Agents defined in the module, each once; those that it imports belong elsewhere."""
    seen: set[int] = set()
    for value in vars(module).values():
        if isinstance(value, Agent) and id(cast("object", value)) not in seen:
            agent = cast("Agent[Any, Any]", value)
            seen.add(id(agent))
            if agent.fn.__module__ == module.__name__:
                yield agent


def _explained(error: BaseException, file: Path) -> StreamsError:
    """The error as its author should see it: what happened, and where in their own code."""
    frames = list(_own_frames(error.__traceback__, file))
    if isinstance(error, DefinitionError) and not error.where and frames:
        where = f"{frames[-1].filename}:{frames[-1].lineno}"
        return DefinitionError(error.message, hint=error.hint, where=where)
    if isinstance(error, StreamsError):
        return error
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return LoadFailed(
        f"{file} cannot be loaded:\n{''.join(lines).rstrip()}", hint=_hint(error, file)
    )


def _own_frames(trace: TracebackType | None, file: Path) -> Iterator[traceback.FrameSummary]:
    """Frames of the file, and of what it calls outside of installed packages and Python."""
    foreign = (*(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")), "<")
    foreign += (str(Path(__file__).parent),)
    own = False
    for frame in traceback.extract_tb(trace):
        # The demo's files are inside this package, so the file itself comes first.
        is_file = frame.filename == str(file)
        own = own or is_file
        if is_file or (own and not frame.filename.startswith(foreign)):
            yield frame


def _hint(error: BaseException, file: Path) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and (file.parent / f"{missing.partition('.')[0]}.py").is_file():
        return (
            "files of agents cannot import each other: put shared code into an installed "
            "package, and submit to another file's agent by an Address"
        )
    if not missing:
        return ""
    package = missing.partition(".")[0]
    return f"{_INSTALL.get(package, f'install {package}')}, or correct the import"


_INSTALL = {
    "lede": "pip install 'agentstreams[demo]'",
    "pydantic_ai": "pip install pydantic-ai-slim",
}
"""How to install what the agents that come with this package import."""
