"""What the catalog says of agents and topics that are not there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams import Context, agent
from streams.catalog import Catalog, read_all, unanswered
from streams.clock import SystemClock
from streams.errors import AgentUnknown, LogError, StreamsError, TopicMissing
from streams.ports import Bounds, Consumed
from streams.provision import apply, plan
from streams.testing.memory import MemoryLog
from streams.threads import ThreadRunner
from streams.topics import Topics


@agent
async def echo(ctx: Context, text: str) -> str:
    return text


def applied(prefix: str) -> tuple[MemoryLog, Catalog]:
    log, topics = MemoryLog(SystemClock()), Topics(prefix)
    catalog = Catalog(log, topics, SystemClock(), ThreadRunner())
    apply(log, topics, catalog, [echo], plan(log, topics, catalog, [echo]))
    return log, catalog


@pytest.mark.parametrize("gone", ["zz.schemas", "zz.agents", "zz.results.echo", "zz.costs"])
def test_a_worker_is_told_the_whole_command_that_makes_a_missing_topic(gone: str) -> None:
    log, catalog = applied("zz")
    log.delete_topic(gone)
    with pytest.raises(TopicMissing, match=f"'{gone}'") as missing:
        catalog.check_topics(catalog.publish_now([echo])["echo"], echo)
    assert f"streams topic apply {__file__} --prefix zz" in missing.value.hint


def test_a_client_is_told_the_deployment_of_a_missing_topic() -> None:
    for prefix, option in (("", ""), ("zz", " --prefix zz"), ("a.b", " --prefix a.b")):
        error = LogError("UNKNOWN_TOPIC_OR_PART", topic=Topics(prefix).tasks("echo"))
        assert f"`streams topic apply PATH{option}`" in unanswered(error).hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eco", "did you mean 'echo'? `streams topic apply PATH --prefix zz`"),
        ("other", "`streams agent list --prefix zz` shows those that are known, "),
    ],
)
def test_an_unknown_agent_is_compared_with_those_that_are_known(name: str, said: str) -> None:
    _, catalog = applied("zz")
    with pytest.raises(AgentUnknown) as unknown:
        asyncio.run(catalog.card(name))
    assert unknown.value.hint.startswith(said)


def test_where_no_agent_is_known_that_is_said() -> None:
    log = MemoryLog(SystemClock())
    log.admin().create_topics(Topics().shared())
    catalog = Catalog(log, Topics(), SystemClock(), ThreadRunner())
    with pytest.raises(AgentUnknown) as unknown:
        asyncio.run(catalog.card("echo"))
    assert unknown.value.hint.startswith("no agent is known here yet; `streams topic apply PATH`")


class Silent:
    """A log, its admin, its reader and its clock: nothing is delivered, and time goes on."""

    def __init__(self, answers: bool) -> None:
        self.answers = answers
        self.now = 0.0

    def admin(self) -> Silent:
        return self

    def reader(self) -> Silent:
        return self

    def bounds(self, topic: str, partitions: object) -> dict[int, Bounds]:
        if self.now and not self.answers:
            raise LogError("_TIMED_OUT", "no answer")
        return {0: Bounds(0, 1)}

    def assign(self, offsets: object) -> None:
        pass

    def consume(self, most: int, timeout_s: float) -> Consumed:
        self.now += 1.0
        return Consumed([])

    def monotonic(self) -> float:
        return self.now

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answers", "said"), [(True, "cannot be read to its end"), (False, "_TIMED_OUT: no answer")]
)
def test_a_topic_that_is_not_delivered_says_whether_a_broker_answers(
    answers: bool, said: str
) -> None:
    log: Any = Silent(answers)
    with pytest.raises(StreamsError, match=said) as silence:
        list(read_all(log, "agents", [0], log))
    assert isinstance(silence.value, LogError) is not answers, "by which a command ends with 3"
