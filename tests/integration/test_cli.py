"""The command line as it is typed: every command a process of its own, on a real Kafka."""

from __future__ import annotations

import json
import shlex
import signal

import pytest

from streams.broker.ports import free_ports

from .place import PATIENCE_S, Place

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Place:
    """A deployment for commands that change nothing."""
    made = Place(tmp_path_factory.mktemp("untouched"), kafka)
    made.run("topic", "apply", "agents.py", "--partitions", "3")
    return made


def test_a_day_with_one_worker(applied: Place) -> None:
    place = applied
    place.start("--slot", "w1")
    row = place.at_work("w1")
    assert row["agents"] == ["greet", "ship"]
    assert place.log.startswith("worker w1 runs greet, ship on Kafka at ")
    assert place.run("worker", "get", "w1").row["pid"] == place.processes[0].pid

    # A result, and a failure with the user's own frames.
    done = place.run("task", "submit", "greet", "World", "--wait", "--tenant", "acme").row
    assert (done["status"], done["output"], done["cost_micros"]) == (
        "succeeded",
        "hello World",
        1_500,
    )
    failed = place.run("task", "submit", "greet", "-", "--wait", code=1, stdin="nobody")
    assert failed.row["status"] == "failed"
    assert "error[E0601]" in failed.err
    assert "agents.py" in failed.err
    assert "nobody is there" in failed.err

    submit_a_file(place)
    new = redrive_the_dead_letter(place)

    # What it cost. A failed task is charged too: the money is spent.
    costs = place.run("cost", "report", "--by", "agent,tenant")
    assert {row["tenant"]: row["amount"] for row in costs.rows} == {
        "acme": "0.001500",
        "": "0.003000",
    }
    assert "is not known" in costs.err

    # Records as they are on the topic.
    tail = place.run("topic", "tail", f"{place.prefix}.results.greet", "-n", "1").row
    assert tail["value"]["task_id"] == new
    whole = place.run("topic", "tail", f"{place.prefix}.tasks.ship", "--from", "-10m").rows
    assert len(whole) == 23
    assert "greeting World" in place.log


def submit_a_file(place: Place) -> None:
    """A file of tasks, with keys; a wrong line submits nothing."""
    orders = place.directory / "orders.jsonl"
    lines = [json.dumps({"customer": f"c{n % 2}", "item": f"i{n}"}) for n in range(20)]
    orders.write_text("\n".join(lines))
    words = ("task", "submit", "ship", "--file", "orders.jsonl", "--key-field", "customer")
    results = place.run(*words, "--wait")
    assert sorted(r["output"] for r in results.rows) == sorted(
        f"i{n} to c{n % 2}" for n in range(20)
    )
    assert "20 succeeded, 0 did not" in results.err
    orders.write_text("\n".join([*lines, '{"customer": "c"}']))
    wrong = place.run(*words, code=2)
    assert "orders.jsonl:21" in wrong.err
    orders.write_text("\n".join(lines[:3]))
    ids = [row["task_id"] for row in place.run(*words).rows]
    assert len(set(ids)) == 3
    listed = place.until(
        lambda: (
            (rows := place.run("task", "list", "--agent", "ship", "--status", "succeeded").rows)
            and len(rows) == 23
            and rows
        )
    )
    assert {row["key"] for row in listed} == {"c0", "c1"}

    # Looking at single tasks.
    got = place.run("task", "get", "ship", ids[0], "--key", "c0")
    assert (got.row["output"], got.row["input"]["item"]) == ("i0 to c0", "i0")
    assert "(1 partitions each)" in got.err
    assert place.run("task", "get", "ship", ids[0]).row == got.row


def redrive_the_dead_letter(place: Place) -> str:
    """The dead letter, redriven once; returns the new task's id."""
    letters = ("dead", "list", "--agent", "greet")
    (letter,) = place.run(*letters).rows
    assert (letter["reason"], letter["redriven_as"]) == ("permanent_error", [])
    (same,) = place.run("dead", "list").rows
    assert (same["agent"], same["id"]) == ("greet", letter["id"])
    assert place.run("dlq", "get", "greet", letter["id"]).row["original"]["input"] == "nobody"
    plan = place.run("dead", "redrive", "greet", "--all")
    assert plan.row["action"] == "submit"
    assert "nothing was changed" in plan.err
    assert place.run(*letters).row["redriven_as"] == []
    new = place.run("dead", "redrive", "greet", letter["id"], "--execute").row["new_task_id"]
    first = place.until(lambda: (rows := place.run(*letters).rows) and len(rows) == 2 and rows[0])
    assert first["redriven_as"] == [new]
    redriven = place.run("task", "get", "greet", new).row
    assert redriven["redrive_of"] == letter["task_id"]
    todo = {row["id"]: row["action"] for row in place.run("dead", "redrive", "greet", "--all").rows}
    assert todo[letter["id"]] == "skip"
    named = place.run("dead", "redrive", "greet", letter["id"]).row
    assert (named["action"], named["why"]) == ("submit", f"again: already redriven as {new}")
    return new


def test_a_group_is_seen_moved_and_moved_back(applied: Place) -> None:
    place = applied
    worker = place.start("--slot", "w1")
    place.at_work("w1")
    for name in ("ann", "bob"):
        place.run("task", "submit", "greet", name, "--wait")
    rows = place.run("group", "get", "greet").rows
    assert {row["worker"] for row in rows} == {"w1"}
    active = place.run("group", "seek", "greet", "--to", "start", code=5)
    assert "error[E0503]" in active.err

    place.run("worker", "drain", "w1")
    assert worker.wait(PATIENCE_S) == 0
    gone = place.run("worker", "drain", "w1", code=5)
    assert "stopped already" in gone.err
    before = place.run("group", "get", "greet").rows
    assert all(row["released"] and row["behind"] == 0 for row in before)
    plan = place.run("group", "seek", "greet", "--to", "-10m")
    assert sum(row["runs_again"] for row in plan.rows) == 2
    assert "nothing was changed" in plan.err
    assert place.run("group", "get", "greet").rows == before

    moved = place.run("group", "seek", "greet", "--to", "start", "--execute")
    listed = {row["agent"]: row["behind"] for row in place.run("group", "list").rows}
    assert listed == {"greet": 2, "ship": 0}
    undo = next(line for line in moved.err.splitlines() if line.startswith("to undo: streams "))
    place.run(*shlex.split(undo.removeprefix("to undo: streams ")))
    assert place.run("group", "get", "greet").rows == before

    # Executed, it does what the plan said: both tasks are answered once more.
    place.run("group", "seek", "greet", "--to", "start", "--execute")
    place.start("--slot", "w2")
    place.at_work("w2")
    results = f"{place.prefix}.results.greet"
    again = place.until(
        lambda: (rows := place.run("topic", "tail", results).rows) and len(rows) == 4 and rows
    )
    assert {row["value"]["worker_id"] for row in again} == {"w1", "w2"}


def test_a_worker_killed_shows_as_dead_and_one_that_keeps_its_slot_stays_a_member(
    applied: Place,
) -> None:
    place = applied
    kept = place.start("--slot", "w1")
    place.at_work("w1")
    place.run("worker", "drain", "w1", "--keep")
    assert kept.wait(PATIENCE_S) == 0
    assert place.run("group", "get", "greet").rows[0]["worker"] == "w1"
    killed = place.start("--slot", "w1")
    place.at_work("w1")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    dead = place.until(
        lambda: [r for r in place.run("worker", "list").rows if r["state"] == "dead"]
    )
    assert [row["pid"] for row in dead] == [killed.pid]


def test_the_older_of_two_workers_in_a_slot_ends_with_5(applied: Place) -> None:
    place = applied
    older = place.start("--slot", "w1")
    place.at_work("w1")
    place.start("--slot", "w1")
    assert older.wait(PATIENCE_S) == 5
    assert "another process uses slot 'w1'" in place.log


def test_waiting_without_a_worker_says_so_and_ends_with_124(applied: Place) -> None:
    ran = applied.run("task", "submit", "greet", "ann", "--wait", "--timeout", "4", code=124)
    assert "no live worker serves 'greet'" in ran.err
    assert "error[E1240]" in ran.err
    assert ran.out == ""
    (row,) = applied.run("task", "list", "--agent", "greet", "--status", "open").rows
    assert f"`streams task get greet {row['task_id']}`" in ran.err
    assert applied.run("task", "get", "greet", row["task_id"]).row["input"] == "ann"


def test_an_own_id_is_submitted_once(applied: Place) -> None:
    words = ("task", "submit", "greet", "ann", "--task-id", "order-1")
    assert applied.run(*words).row["task_id"] == applied.run(*words).row["task_id"] == "order-1"
    other = applied.run("task", "submit", "greet", "bob", "--task-id", "order-1", code=5)
    assert "error[E0504]" in other.err
    assert len(applied.run("topic", "tail", f"{applied.prefix}.tasks.greet").rows) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("task submit", 2, "Missing argument 'AGENT'"),
        ("task submit greet", 2, "INPUT"),
        ("task submit ship 5", 2, "E0110"),
        ("task submit gret ann", 4, "did you mean 'greet'?"),
        ("task get greet nothing", 4, "E0403"),
        ("task list --agent other", 4, "E0402"),
        ("task list --agent greet --since soon", 2, "30m"),
        ("topic get nothing", 4, "E0401"),
        ("topic tail nothing", 4, "E0401"),
        ("topic apply nowhere.py", 2, "E0130"),
        ("worker get nobody", 4, "streams worker list"),
        ("worker run agents.py --prefix other", 4, "streams topic apply"),
        ("worker run agents.py --slot UPPER", 2, "--slot"),
        ("group get other", 4, "E0402"),
        ("group seek greet", 2, "--to"),
        ("group seek greet --to @1 --partition 9", 2, "0 to 2"),
        ("dead redrive greet", 2, "--all"),
        ("dead get greet 0@5", 4, "streams dead list --agent greet"),
        ("cost report --by colour", 2, "tenant"),
    ],
)
def test_mistakes_end_with_their_code_and_a_remedy(
    untouched: Place, words: str, code: int, said: str
) -> None:
    ran = untouched.run(*words.split(), code=code)
    assert ran.err.startswith("error[E") or "\nerror[E" in ran.err
    assert said in ran.err
    assert "Ctrl-C ends it" not in ran.err, "nothing runs"
    assert ran.out == ""


def test_a_first_start_without_topics_says_only_how_to_make_them(untouched: Place) -> None:
    ran = untouched.run("worker", "run", "agents.py", "--prefix", "other", code=4)
    error, hint = ran.err.splitlines()
    assert error == "error[E0401]: topic 'other.schemas' does not exist"
    path = untouched.directory / "agents.py"
    assert f"streams topic apply {path} --prefix other`" in hint


def test_a_broker_that_does_not_answer_is_3(untouched: Place) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    for words in ("topic list", "worker run agents.py", "task submit greet ann"):
        ran = untouched.run(*words.split(), "--bootstrap", address, code=3)
        assert ran.err.startswith("error[E0300]")
        assert address in ran.err


def test_following_a_topic_shows_what_comes_and_ends_by_an_interrupt(applied: Place) -> None:
    shown = applied.directory / "shown.jsonl"
    words = ("topic", "tail", f"{applied.prefix}.tasks.greet", "-n", "0", "-f")
    with shown.open("wb") as out:
        tail = applied.spawn(*words, stdout=out)

    def seen() -> list[str]:
        # Again until one is seen: the first may come before it follows.
        applied.run("task", "submit", "greet", "ann")
        return shown.read_text().splitlines()

    assert json.loads(applied.until(seen)[0])["value"]["input"] == "ann"
    tail.send_signal(signal.SIGINT)
    assert tail.wait(PATIENCE_S) == 130
