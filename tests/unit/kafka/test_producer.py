"""Which calls of the transaction protocol are made again; when a plain producer begins anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import LogError
from streams.kafka import producer
from streams.kafka.producer import CALL_MIN_S, KafkaProducer, KafkaTransactionalProducer

UP = "[thrd:TxnCoordinator]: Disconnected: connection closed by peer (after 106ms in state UP)"
REFUSED = "[thrd:main]: Connect to ipv4#127.0.0.1:1 failed: refused (after 0ms in state CONNECT)"
LATE = "[thrd:host:1/1]: 1 request(s) timed out: disconnect (after 9ms in state UP)"


class Clock:
    """Stands in for ``time``: it moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """A client whose commits take the time given, and then report an error."""

    def __init__(self, clock: Clock, takes_s: float, kind: int, *, retriable: bool) -> None:
        self._clock = clock
        self._takes_s = takes_s
        self._error = KafkaException(KafkaError(kind, "no answer", False, retriable))
        self.given_s: list[float] = []

    def commit_transaction(self, timeout_s: float) -> None:
        self.given_s.append(timeout_s)
        self._clock.sleep(min(timeout_s, self._takes_s))
        raise self._error


def commit(monkeypatch, takes_s: float, *, retriable: bool = True) -> tuple[Client, Clock]:
    clock = Clock()
    client = Client(clock, takes_s, KafkaError._TIMED_OUT, retriable=retriable)
    monkeypatch.setattr(producer, "time", clock)
    monkeypatch.setattr(producer.config, "make", lambda *_: client)
    sender = KafkaTransactionalProducer({"transactional.id": "t"}, "g")
    with pytest.raises(LogError) as caught:
        sender.commit(5.0)
    assert caught.value.kind == "_TIMED_OUT"
    return client, clock


def test_a_call_that_took_all_of_its_time_is_not_made_again(monkeypatch) -> None:
    client, _ = commit(monkeypatch, takes_s=60.0)
    # With no time left the real client would forget the commit that is under way, and end this
    # process when its outcome comes.
    assert client.given_s == [5.0]


def test_a_call_is_made_again_while_there_is_time_for_it(monkeypatch) -> None:
    client, clock = commit(monkeypatch, takes_s=0.4)
    assert len(client.given_s) > 5
    assert min(client.given_s) >= CALL_MIN_S - producer.RETRY_S
    assert clock.now <= 5.0


def test_an_error_that_is_not_retriable_is_not_tried_again(monkeypatch) -> None:
    client, _ = commit(monkeypatch, takes_s=0.0, retriable=False)
    assert client.given_s == [5.0]


PATIENCE_S = 10.0


class PlainClient:
    """A client that acknowledges nothing until it is told to; ``dead`` is its fatal error."""

    def __init__(self) -> None:
        self.under_way: list[tuple[bytes, Callable[..., None]]] = []
        self.waiting: list[Callable[[], None]] = []
        self.dead = False
        self.closed = False

    def produce(self, topic, value, key, partition, on_delivery, headers) -> None:
        if self.dead:
            raise KafkaException(KafkaError(KafkaError._FATAL, "out of order"))
        self.under_way.append((value, on_delivery))

    def acknowledge(self, error: KafkaError | None = None) -> None:
        def report(value: bytes, on_delivery: Callable[..., None]) -> None:
            on_delivery(error, SimpleNamespace(topic=lambda: "t", partition=lambda: 0, value=value))

        self.waiting += [partial(report, *record) for record in self.under_way]
        self.under_way.clear()

    def die(self, code: int) -> None:
        """A fatal error: it waits to be raised, with what it makes of the records behind it."""

        def fatal() -> None:
            raise KafkaException(KafkaError(code, "no more", True))

        self.dead = True
        self.waiting.append(fatal)
        self.acknowledge(KafkaError(KafkaError._PURGE_QUEUE))

    def purge(self) -> None:
        self.acknowledge(KafkaError(KafkaError._PURGE_INFLIGHT))

    def poll(self, timeout_s: float) -> int:
        served = 0
        while self.waiting:
            self.waiting.pop(0)()
            served += 1
        return served

    def flush(self, timeout_s: float) -> int:
        """As the binding: it goes on behind a fatal error, and what comes next is lost."""
        try:
            self.poll(timeout_s)
        except KafkaException as fatal:
            if not self.waiting:
                raise
            del self.waiting[0]
            self.poll(timeout_s)
            raise SystemError("returned a result with an exception set") from fatal
        return len(self)

    def __len__(self) -> int:
        return len(self.under_way) + len(self.waiting)

    def close(self) -> None:
        assert not self.under_way, "records are left without an answer"
        self.closed = True
        self.flush(0)


class Plain:
    """A plain producer on a clock of its own, its clients, and what it said of each record."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.clients: list[PlainClient] = []
        self.told: list[str] = []
        self.errors: list[LogError] = []
        monkeypatch.setattr(producer, "time", self.clock)
        monkeypatch.setattr(producer.config, "make", self._make)
        self.producer = KafkaProducer({}, PATIENCE_S)

    def _make(self, *_: object) -> PlainClient:
        self.clients.append(PlainClient())
        return self.clients[-1]

    def produce(self, value: bytes) -> None:
        def report(error: LogError | None) -> None:
            self.told.append(f"{value.decode()} {'written' if error is None else error.kind}")
            if error is not None:
                self.errors.append(error)

        self.producer.produce("t", 0, None, value, None, report)

    def pass_s(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.producer.poll(0)


@pytest.fixture
def plain(monkeypatch) -> Plain:
    return Plain(monkeypatch)


def test_a_record_that_waits_too_long_is_given_up_with_all_beside_it(plain: Plain) -> None:
    plain.produce(b"old")
    plain.pass_s(1)
    plain.produce(b"young")
    plain.pass_s(PATIENCE_S - 1)
    assert (plain.told, len(plain.clients)) == ([], 1)
    plain.pass_s(1.5)
    assert plain.told == ["old _MSG_TIMED_OUT", "young _MSG_TIMED_OUT"]
    plain.produce(b"new")
    assert [client.closed for client in plain.clients] == [True, False]
    plain.clients[-1].acknowledge()
    plain.pass_s(0)
    assert plain.told[2:] == ["new written"]


def test_records_that_nobody_waits_for_are_given_up_too(plain: Plain) -> None:
    for _ in range(3 * round(PATIENCE_S)):
        plain.producer.produce("heartbeats", 0, None, b"beat")
        plain.pass_s(1)
    assert [len(client) for client in plain.clients] == [0, 0, len(plain.clients[-1])]


def test_a_producer_keeps_its_client_while_all_is_acknowledged_in_time(plain: Plain) -> None:
    for number in range(100):
        plain.produce(b"%d" % number)
        plain.pass_s(PATIENCE_S / 2)
        plain.clients[0].acknowledge()
        plain.pass_s(PATIENCE_S * (number % 2))
    assert len(plain.clients) == 1
    assert len(plain.told) == 100


def test_acknowledgements_that_came_while_the_process_stood_still_count(plain: Plain) -> None:
    plain.produce(b"a")
    plain.pass_s(1)
    plain.clients[0].acknowledge()
    plain.pass_s(PATIENCE_S * 2)
    assert (plain.told, len(plain.clients)) == (["a written"], 1)


def test_a_client_with_a_fatal_error_is_replaced(plain: Plain) -> None:
    plain.produce(b"a")
    plain.clients[0].dead = True
    plain.produce(b"b")
    assert [value for value, _ in plain.clients[1].under_way] == [b"b"]
    plain.pass_s(0)
    assert plain.told == ["a _MSG_TIMED_OUT"]
    assert plain.clients[0].closed


@pytest.mark.parametrize("by", ["poll", "flush", "close"])
def test_a_fatal_error_is_not_raised_and_each_record_behind_it_is_answered(
    plain: Plain, by: str
) -> None:
    calls = {
        "poll": lambda: plain.producer.poll(0.05),
        "flush": lambda: plain.producer.flush(5.0),
        "close": plain.producer.close,
    }
    for number in range(3):
        plain.produce(b"%d" % number)
    plain.clients[0].die(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
    calls[by]()
    assert plain.told == [f"{number} _MSG_TIMED_OUT" for number in range(3)]
    assert plain.clients[0].closed
    if by != "close":
        plain.produce(b"after")
        plain.clients[1].acknowledge()
        plain.pass_s(0)
        assert plain.told[3:] == ["after written"]
    plain.producer.close()
    assert [client.closed for client in plain.clients] == [True, True]


def test_a_fatal_error_that_a_produce_comes_upon_loses_no_report(plain: Plain) -> None:
    plain.produce(b"before")
    plain.clients[0].die(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
    plain.produce(b"after")
    plain.clients[1].acknowledge()
    plain.pass_s(0)
    assert sorted(plain.told) == ["after written", "before _MSG_TIMED_OUT"]


def test_a_fatal_error_that_comes_with_the_close_itself_is_no_error(plain: Plain) -> None:
    (client,) = plain.clients
    close = client.close

    def die() -> None:
        client.die(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        close()

    client.close = die
    plain.producer.close()
    assert client.closed


@pytest.mark.parametrize("by", ["poll", "produce"])
def test_who_may_write_nothing_is_told_of_the_right(plain: Plain, by: str) -> None:
    plain.produce(b"a")
    plain.produce(b"b")
    plain.clients[0].die(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    if by == "produce":
        plain.produce(b"c")
        plain.clients[1].die(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    plain.pass_s(0)
    plain.pass_s(0)
    assert {error.kind for error in plain.errors} == {"TOPIC_AUTHORIZATION_FAILED"}
    assert len(plain.errors) == (3 if by == "produce" else 2)
    for error in plain.errors:
        assert "the right WRITE on topic 't' is missing" in error.message


def test_a_record_under_way_when_the_rights_were_taken_may_have_been_written(plain: Plain) -> None:
    plain.produce(b"sent")
    plain.clients[0].dead = True

    def fatal() -> None:
        raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no more", True))

    plain.clients[0].waiting.append(fatal)
    plain.pass_s(0)
    assert plain.told == ["sent _MSG_TIMED_OUT"]


@pytest.mark.parametrize(
    ("facility", "line", "cut"),
    [("FAIL", UP, True), ("FAIL", LATE, True), ("FAIL", REFUSED, False), ("GETPID", UP, False)],
)
def test_a_connection_that_was_up_and_is_lost_is_told_by_the_clients_lines(
    monkeypatch: pytest.MonkeyPatch, facility: str, line: str, cut: bool
) -> None:
    told: list[Callable[..., None]] = []
    client = SimpleNamespace(poll=lambda _: told[0](6, "%s [%s] %s", facility, "name", line))
    monkeypatch.setattr(
        "streams.kafka.config.make", lambda _, __, lines: told.append(lines.log) or client
    )
    made = KafkaTransactionalProducer({"transactional.id": "x"}, "group")
    assert made.was_cut_off() is cut


@pytest.mark.parametrize("found", [KafkaException(KafkaError(KafkaError._FENCED)), SystemError()])
def test_a_fatal_error_that_comes_with_a_poll_is_a_doubt_and_one_of_a_flush_an_error(
    monkeypatch: pytest.MonkeyPatch, found: Exception
) -> None:
    def fail(timeout_s: float) -> int:
        raise found

    client = SimpleNamespace(poll=fail, flush=fail)
    monkeypatch.setattr("streams.kafka.config.make", lambda *_: client)
    made = KafkaTransactionalProducer({"transactional.id": "x"}, "group")
    assert made.was_cut_off()
    with pytest.raises(LogError) as caught:
        made.flush(1.0)
    assert caught.value.fatal


@pytest.mark.parametrize("found", [KafkaException(KafkaError(KafkaError._FENCED)), SystemError()])
def test_a_fatal_error_that_comes_while_a_record_waits_for_room_is_an_error(
    monkeypatch: pytest.MonkeyPatch, found: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise BufferError

    def fail(timeout_s: float) -> int:
        raise found

    client = SimpleNamespace(poll=fail, produce=full)
    monkeypatch.setattr("streams.kafka.config.make", lambda *_: client)
    made = KafkaTransactionalProducer({"transactional.id": "x"}, "group")
    with pytest.raises(LogError) as caught:
        made.produce("t", 0, None, b"v")
    assert caught.value.fatal
    assert caught.value.kind == ("_FENCED" if isinstance(found, KafkaException) else "_FATAL")
