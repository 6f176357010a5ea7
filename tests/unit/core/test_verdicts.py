"""What the committer does about each error, and what follows a failed attempt."""

from __future__ import annotations

import pytest

from streams.core.retry import DELAYS_MAX_S, Again, GiveUp, after_failure
from streams.core.verdicts import REFUSED_KINDS, Action, judge
from streams.errors import InputInvalid, LogError, OutputInvalid, PermanentError, RetryAfter
from streams.policies import Retry
from streams.ports import Refusal

OWN = frozenset({"results.a", "dead.a", "costs"})


def refusal(kind: str, topic: str = "tasks.child") -> Refusal:
    return Refusal(topic, 0, b"k", b"v", LogError(kind))


def error(kind: str, *, fatal: bool = False) -> LogError:
    return LogError(kind, fatal=fatal, abortable=not fatal)


@pytest.mark.parametrize("kind", sorted(REFUSED_KINDS))
@pytest.mark.parametrize("raised", ["_INCONSISTENT", "INVALID_RECORD", "_TIMED_OUT"])
def test_a_refused_record_is_replaced(kind: str, raised: str) -> None:
    verdict = judge(error(raised), [refusal("_PURGE_QUEUE"), refusal(kind)], OWN)
    assert verdict.action is Action.REPLACE
    assert [c.error.kind for c in verdict.culprits] == [kind]


@pytest.mark.parametrize("topic", sorted(OWN))
@pytest.mark.parametrize("kind", sorted(REFUSED_KINDS - {"MSG_SIZE_TOO_LARGE"}))
def test_a_refused_topic_of_its_own_stops_the_pool(topic: str, kind: str) -> None:
    verdict = judge(error("_INCONSISTENT"), [refusal("INVALID_RECORD"), refusal(kind, topic)], OWN)
    assert verdict.action is Action.STOP
    assert verdict.culprits[0].topic == topic


def test_a_result_that_is_too_large_is_this_tasks_affair() -> None:
    verdict = judge(error("MSG_SIZE_TOO_LARGE"), [refusal("MSG_SIZE_TOO_LARGE", "results.a")], OWN)
    assert verdict.action is Action.REPLACE


@pytest.mark.parametrize(
    "kind",
    ["_PURGE_QUEUE", "_PURGE_INFLIGHT", "_MSG_TIMED_OUT"],
)
@pytest.mark.parametrize("raised", ["_INCONSISTENT", "_TIMED_OUT", "_PURGE_QUEUE"])
@pytest.mark.parametrize("fatal", [False, True])
def test_a_report_that_names_no_culprit_starts_a_search(
    kind: str, raised: str, fatal: bool
) -> None:
    # A topic deleted after use: the commit times out, and would so for ever.
    verdict = judge(error(raised, fatal=fatal), [refusal(kind)], OWN)
    assert verdict.action is Action.SEARCH
    assert verdict.culprits == ()


@pytest.mark.parametrize("kind", ["_INCONSISTENT", "_MSG_TIMED_OUT", "_PURGE_QUEUE"])
def test_a_vague_error_starts_a_search(kind: str) -> None:
    assert judge(error(kind), [], OWN).action is Action.SEARCH


@pytest.mark.parametrize(
    "kind",
    ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "FENCED_INSTANCE_ID"],
)
def test_a_stale_membership_is_sent_again_with_a_fresh_one(kind: str) -> None:
    assert judge(error(kind), [], OWN).action is Action.RESEND


@pytest.mark.parametrize(
    "failed",
    [
        error("_TIMED_OUT"),
        error("REQUEST_TIMED_OUT"),
        error("_STATE"),
        error("INVALID_TXN_STATE", fatal=True),
        error("OUT_OF_ORDER_SEQUENCE_NUMBER"),
        error("UNKNOWN_PRODUCER_ID", fatal=True),
        error("_DESTROY", fatal=True),
        error("SOMETHING_NEW"),
    ],
    ids=str,
)
def test_an_unknown_outcome_needs_a_new_producer(failed: LogError) -> None:
    assert judge(failed, [], OWN).action is Action.RECOVER


@pytest.mark.parametrize("kind", ["_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"])
def test_a_fenced_producer_is_counted(kind: str) -> None:
    verdict = judge(error(kind, fatal=True), [refusal("_PURGE_QUEUE")], OWN)
    assert verdict.action is Action.FENCED


@pytest.mark.parametrize(
    "kind", ["GROUP_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"]
)
def test_a_missing_right_stops_the_pool(kind: str) -> None:
    assert judge(error(kind, fatal=True), [], OWN).action is Action.STOP


RETRY = Retry(attempts=3, delay=2, delay_max=3)


@pytest.mark.parametrize(
    ("failure", "attempt", "waited_s", "expected"),
    [
        (ValueError(), 1, 0.0, Again(1.0)),
        (ValueError(), 2, 0.0, Again(1.5)),
        (ValueError(), 3, 0.0, GiveUp("attempts_exhausted")),
        (ValueError(), 7, 0.0, GiveUp("attempts_exhausted")),
        (SystemExit(1), 1, 0.0, Again(1.0)),
        (TimeoutError(), 1, 0.0, Again(1.0)),
        (PermanentError(), 1, 0.0, GiveUp("permanent_error")),
        (InputInvalid("no"), 1, 0.0, GiveUp("permanent_error")),
        (OutputInvalid("no"), 1, 0.0, GiveUp("permanent_error")),
        (RetryAfter(30), 1, 0.0, Again(30)),
        (RetryAfter(0), 1, DELAYS_MAX_S, Again(0)),
        (RetryAfter(31), 2, 29.5, GiveUp("retry_delay_too_long")),
        (RetryAfter(61), 1, 0.0, GiveUp("retry_delay_too_long")),
        (RetryAfter(61), 3, 0.0, GiveUp("attempts_exhausted")),
    ],
    ids=lambda value: repr(value),
)
def test_after_a_failure(failure, attempt: int, waited_s: float, expected: object) -> None:
    assert after_failure(failure, RETRY, attempt, waited_s, 0.5) == expected


def test_delays_of_a_policy_and_of_the_handler_stay_within_the_bound_together() -> None:
    policy = Retry(attempts=5, delay=15, delay_max=15)
    waited, attempt = 0.0, 1
    for failure in (RetryAfter(45), ValueError(), ValueError(), ValueError()):
        verdict = after_failure(failure, policy, attempt, waited, 0.999)
        if isinstance(verdict, GiveUp):
            break
        waited += verdict.delay_s
        attempt += 1
    assert waited <= DELAYS_MAX_S


def test_a_batch_refused_for_its_size_is_sent_in_parts_whatever_else_is_refused() -> None:
    size = LogError("MSG_SIZE_TOO_LARGE", abortable=True)
    gone = LogError("_UNKNOWN_TOPIC", abortable=True)
    batch = [Refusal("results.a", 0, b"k", str(n).encode(), size) for n in range(3)]
    child = Refusal("tasks.b", 0, b"k", b"v", gone)
    assert judge(gone, [*batch, child], {"results.a"}).of_a_batch
    assert not judge(gone, [batch[0], child], {"results.a"}).of_a_batch
