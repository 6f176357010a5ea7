"""What a person sees of ended tasks and of trouble."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click

from streams.dev.protocol import AgentInfo, Loaded, Trouble
from streams.dev.show import Screen, cut, end_text, result_lines
from streams.records import ErrorReport, Result

HOME = Path("/project")


def result(**changes: Any) -> Result[bytes]:
    fields: dict[str, Any] = {
        "task_id": "01a2057c-8d9a-7d8e-8855-053598ccb4c7",
        "run_id": "r",
        "agent": "greet",
        "agent_version": "1",
        "worker_id": "dev",
        "attempt": 1,
        "status": "succeeded",
        "submitted_at": 0,
        "started_at": 1_000_000,
        "finished_at": 1_012_000,
        "source_topic": "tasks.greet",
        "source_partition": 0,
        "source_offset": 0,
        "output": b'"hello"',
    }
    return Result(**fields | changes)


def lines(columns: int = 100, **changes: Any) -> list[str]:
    return [click.unstyle(line) for line in result_lines(result(**changes), 8, columns, HOME)]


def test_a_result_is_one_line() -> None:
    (line,) = lines(cost_micros=20)
    assert line[10:] == '  greet     …98ccb4c7  succeeded    12 ms  cost 0.000020  "hello"'[2:]


def test_columns_stand_below_each_other_whatever_the_status() -> None:
    done = lines()[0]
    failed = lines(status="failed", output=None, error=ErrorReport(type="ValueError"))[0]
    assert done.index('"hello"') == failed.index("ValueError")


def test_a_failure_shows_the_users_frames_and_how_to_see_more() -> None:
    error = ErrorReport("", "ValueError", "no\nsuch thing", "", ["/project/agents/a.py:3 in f: x"])
    first, frame, more = lines(status="failed", output=None, attempt=3, error=error)
    assert first.endswith("attempt 3  ValueError: no such thing")
    assert frame.strip() == "agents/a.py:3 in f: x"
    assert more.strip() == "streams task get greet 01a2057c-8d9a-7d8e-8855-053598ccb4c7"


def test_no_line_is_wider_than_the_terminal() -> None:
    (line,) = lines(columns=70, output=b'"' + "木".encode() * 50 + b'"')
    assert line.endswith("…")
    assert len(line) + line.count("木") <= 70


def test_what_agents_return_cannot_steer_the_terminal() -> None:
    assert cut("a\x1b[2Jb\nc", 80) == "a [2Jb c"


def test_how_a_worker_ended() -> None:
    assert end_text(3) == "exit code 3"
    assert end_text(-9) == "killed by SIGKILL"


def screen() -> tuple[Screen, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Screen(HOME, out, err), out, err


def loaded(*names: str) -> Loaded:
    schema = '{"type": "string"}'
    return Loaded([AgentInfo(n, "1", "", schema, f"results.{n}", 12) for n in names])


def test_results_are_data_and_the_rest_is_talk_without_colour_off_a_terminal() -> None:
    shown, out, err = screen()
    shown.result(result())
    shown.refused(Trouble("E0130", "/project/agents/a.py cannot be loaded", "mend it", 2))
    assert '"hello"' in out.getvalue()
    assert err.getvalue().startswith("error[E0130]: agents/a.py cannot be loaded\nhint: mend it\n")
    assert "\x1b" not in out.getvalue() + err.getvalue()


def test_the_submit_command_is_offered_once_for_each_agent() -> None:
    shown, _, err = screen()
    shown.serving(loaded("greet"), 1, 1.0, again=False)
    shown.serving(loaded("greet"), 2, 1.0, again=False)
    shown.serving(loaded("greet", "shout"), 3, 1.0, again=False)
    shown.serving(loaded("greet", "shout"), 4, 1.0, again=True)
    said = err.getvalue()
    assert said.count("streams task submit greet '\"hello\"' --wait") == 1
    assert said.count("streams task submit shout '\"hello\"' --wait") == 1
    assert said.count("reloaded") == 2
    assert said.count("started again") == 1


def test_ids_in_what_agents_log_are_shortened() -> None:
    shown, _, err = screen()
    shown.printed("INFO [01a2057c-8d9a-7d8e-8855-053598ccb4c7] read /project/x")
    assert err.getvalue().endswith("│ INFO […98ccb4c7] read x\n")


def test_a_worker_that_only_a_change_can_help_says_so() -> None:
    shown, _, err = screen()
    shown.died(5, Trouble("E0501", "slot in use", "", 5), None)
    shown.died(-11, None, 2.0)
    assert "error[E0501]: slot in use" in err.getvalue()
    assert "the next change of a file starts one" in err.getvalue()
    assert "killed by SIGSEGV); it starts again in 2 s" in err.getvalue()
