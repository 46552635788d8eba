"""What is done about a failure: attempts are bounded, refusals and pauses spend none, nobody comes back early."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.ids import EndpointId, JobId, RequestId, RouteId
from batcher.domain.outcomes import Failure, Success, Usage
from batcher.domain.requests import Claim
from batcher.domain.settlements import DeadLetter, Requeue
from batcher.domain.states import FailureKind
from batcher.policy.retry.decide import complete, decide, sends_without_attempt
from tests.support.replies import NOON, reply

SECOND = 1_000_000
FIRST = Claim(
    request_id=RequestId(1),
    job_id=JobId(1),
    route_id=RouteId(1),
    endpoint_id=EndpointId(1),
    line=1,
    custom_id="row-1",
    path="/v1/chat/completions",
    model="m",
    send=1,
    attempts_used=0,
    lost=0,
    timeouts=0,
    revision=0,
    est_input=1,
    est_output=1,
    body=b"{}",
)


def claim(**changes: int) -> Claim:
    return msgspec.structs.replace(FIRST, **changes)


def fail(kind=FailureKind.TRANSIENT, code="http_502", **more) -> Failure:
    return Failure(kind=kind, code=code, message="why", **more)


def decided(outcome, claimed=FIRST, *, jitter=0.0, max_attempts=6, too_often=False):
    return decide(outcome, claimed, now_us=NOON, jitter=jitter, max_attempts=max_attempts, too_often=too_often)


@pytest.mark.parametrize(("spent", "seconds"), [(0, 1), (1, 2), (2, 4), (4, 16)])
def test_a_transient_failure_comes_back_after_its_backoff_and_spends_an_attempt(spent, seconds):
    found = decided(fail(), claim(attempts_used=spent, send=spent + 1))
    assert found == Requeue(available_at=NOON + seconds * SECOND, uses_attempt=True)


@pytest.mark.parametrize(
    ("spent", "max_attempts", "most_attempts", "dies"),
    [
        (5, 6, None, True),
        (4, 6, None, False),
        (0, 1, None, True),
        (1, 6, 2, True),
        (0, 6, 2, False),
        (1, 2, 3, True),
    ],
)
def test_a_transient_failure_dies_when_its_attempts_are_spent(spent, max_attempts, most_attempts, dies):
    found = decided(
        fail(most_attempts=most_attempts), claim(attempts_used=spent, send=spent + 1), max_attempts=max_attempts
    )
    assert isinstance(found, DeadLetter) is dies
    if dies:
        assert found == DeadLetter(kind="transient", code="http_502")


def test_a_told_time_longer_than_the_backoff_is_kept_and_one_that_is_shorter_does_not_hurry():
    assert decided(fail(retry_after_us=30 * SECOND)).available_at == NOON + 30 * SECOND
    assert decided(fail(retry_after_us=1)).available_at == NOON + SECOND


def test_a_timeout_is_tried_once_more_and_then_dies():
    timeout = fail(code="timeout")
    assert decided(timeout) == Requeue(available_at=NOON + SECOND, uses_attempt=True, timeout=True)
    assert decided(timeout, claim(send=2, attempts_used=1, timeouts=1)) == DeadLetter(
        kind="transient", code="timeout"
    )


def test_other_failures_do_not_count_as_timeouts():
    assert decided(fail(), claim(send=2, attempts_used=1, timeouts=1)) == Requeue(
        available_at=NOON + 2 * SECOND, uses_attempt=True
    )


@pytest.mark.parametrize("spent", [0, 5])
def test_a_fault_of_this_machine_never_spends(spent):
    found = decided(fail(code="local"), claim(attempts_used=spent, send=spent + 90))
    assert found == Requeue(available_at=NOON + SECOND, uses_attempt=False)


def test_a_connection_that_was_closed_already_is_free_once_and_at_once():
    stale = fail(code="stale_connection")
    free = Requeue(available_at=None, uses_attempt=False)
    assert decided(stale) == free
    assert decided(stale, claim(send=4, attempts_used=2, lost=1)) == free
    assert decided(stale, claim(send=2)) == Requeue(available_at=NOON + SECOND, uses_attempt=True)


@pytest.mark.parametrize(
    ("send", "sends_before", "spent", "free"),
    [(7, 6, 0, True), (8, 6, 1, True), (8, 6, 0, False), (7, 0, 6, True), (7, 0, 0, False)],
)
def test_sends_from_before_it_was_put_back_cost_a_row_nothing(send, sends_before, spent, free):
    found = decided(
        fail(code="stale_connection"), claim(send=send, sends_before=sends_before, attempts_used=spent)
    )
    assert isinstance(found, Requeue)
    assert found.uses_attempt is not free


def test_a_refusal_keeps_its_place_and_spends_nothing():
    found = decided(fail(FailureKind.RATE_LIMITED, "rate_limit_exceeded", retry_after_us=SECOND), too_often=False)
    assert found == Requeue(available_at=None, uses_attempt=False)


@pytest.mark.parametrize("too_often", [False, True])
def test_a_row_that_is_refused_too_often_dies(too_often):
    found = decided(fail(FailureKind.RATE_LIMITED, "x"), too_often=too_often)
    expected = DeadLetter(kind="rate_limited", code="refused_too_often")
    assert found == (expected if too_often else Requeue(available_at=None, uses_attempt=False))


def test_a_pause_gives_the_row_back_unspent_however_often():
    for send in (1, 100):
        found = decided(fail(FailureKind.BLOCKED, "invalid_api_key"), claim(send=send), too_often=False)
        assert found == Requeue(available_at=None, uses_attempt=False)


def test_a_permanent_failure_dies_at_once_with_its_own_code():
    found = decided(fail(FailureKind.PERMANENT, "context_length_exceeded"))
    assert found == DeadLetter(kind="permanent", code="context_length_exceeded")


def test_an_answer_is_completed_with_its_usage_and_the_providers_name_of_it():
    answer = reply(200, {}, {"x-request-id": "req_1", "cf-ray": "9"})
    usage = Usage(input_tokens=1, output_tokens=2)
    done = complete(Success(usage=usage), answer)
    assert (done.reply, done.usage, done.provider_request_id) == (answer, usage, "req_1")
    assert complete(Success(usage=usage), reply(200, {}, {"request-id": "req_2"})).provider_request_id == "req_2"
    assert complete(Success(usage=usage), reply(200, {})).provider_request_id is None


FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    code=st.sampled_from(["http_502", "timeout", "local", "stale_connection", "empty_answer"]),
    message=st.just("why"),
    retry_after_us=st.none() | st.integers(0, 10**12),
    most_attempts=st.none() | st.integers(1, 9),
)
FAULTS = st.builds(
    fail,
    code=st.sampled_from(["http_502", "timeout", "stale_connection", "empty_answer"]),
    most_attempts=st.none() | st.integers(1, 9),
)
JITTER = st.floats(0, 1, exclude_max=True)


@given(FAILURES, st.integers(0, 9), st.integers(0, 3), st.integers(0, 40), JITTER, st.booleans())
def test_nobody_is_sent_again_before_the_told_time_and_jitter_only_lengthens(
    outcome, spent, lost, unspent, jitter, too_often
):
    claimed = claim(attempts_used=spent, lost=lost, send=1 + spent + lost + unspent)
    found = decided(outcome, claimed, jitter=jitter, too_often=too_often)
    if isinstance(found, Requeue) and found.uses_attempt:
        assert found.available_at is not None
        wait = found.available_at - NOON
        assert wait >= max(SECOND, outcome.retry_after_us or 0)
        steady = decided(outcome, claimed, too_often=too_often)
        assert isinstance(steady, Requeue)
        assert steady.available_at is not None
        assert found.available_at >= steady.available_at


@given(FAILURES, st.integers(1, 9))
def test_refusals_and_pauses_never_spend_whatever_else_they_carry(outcome, max_attempts):
    for kind in (FailureKind.RATE_LIMITED, FailureKind.BLOCKED):
        found = decided(msgspec.structs.replace(outcome, kind=kind), max_attempts=max_attempts)
        assert found == Requeue(available_at=None, uses_attempt=False)


@given(st.lists(FAILURES, min_size=60, max_size=60), st.integers(1, 9), JITTER)
def test_attempts_that_are_spent_never_exceed_what_is_allowed(outcomes, max_attempts, jitter):
    claimed, spent = FIRST, 0
    for outcome in outcomes:
        found = decided(outcome, claimed, jitter=jitter, max_attempts=max_attempts)
        charged = isinstance(found, DeadLetter) and outcome.kind is FailureKind.TRANSIENT
        spent += charged or (isinstance(found, Requeue) and found.uses_attempt)
        assert spent <= max_attempts
        if isinstance(found, DeadLetter):
            break
        claimed = claim(
            send=claimed.send + 1,
            attempts_used=claimed.attempts_used + found.uses_attempt,
            timeouts=claimed.timeouts + found.timeout,
        )
        assert claimed.timeouts <= 1
        assert sends_without_attempt(claimed) == claimed.send - claimed.attempts_used


@given(st.lists(FAULTS, min_size=12, max_size=12))
def test_a_row_that_only_ever_fails_is_settled_after_a_bounded_number_of_sends(outcomes):
    claimed = FIRST
    for outcome in outcomes:
        found = decided(outcome, claimed)
        if isinstance(found, DeadLetter):
            return
        claimed = claim(
            send=claimed.send + 1,
            attempts_used=claimed.attempts_used + found.uses_attempt,
            timeouts=claimed.timeouts + found.timeout,
        )
    pytest.fail("never settled")


@pytest.mark.parametrize(
    ("send", "decision"),
    [
        (1, Requeue(available_at=NOON + SECOND, uses_attempt=False)),
        (3, Requeue(available_at=NOON + SECOND, uses_attempt=False)),
        # From the fourth on it counts like any timeout.
        (4, Requeue(available_at=NOON + SECOND, uses_attempt=True, timeout=True)),
    ],
)
def test_a_timeout_in_a_queue_uses_no_attempt_three_times(send, decision):
    found = decide(
        fail(code="timeout"),
        claim(send=send),
        now_us=NOON,
        jitter=0.0,
        max_attempts=6,
        queued=True,
    )
    assert found == decision
