import pytest

from batcher.domain.outcomes import Failure
from batcher.domain.states import FailureKind, RefusalCause
from batcher.policy.retry.busy import RECENT_S, as_refusal, is_busy
from tests.support.replies import reply

FAULT = Failure(kind=FailureKind.TRANSIENT, code="http_503", message="why", most_attempts=3)


@pytest.mark.parametrize(
    ("status", "outcome", "answered_s_ago", "busy"),
    [
        (503, FAULT, 0.1, True),
        (503, FAULT, RECENT_S, True),
        (503, FAULT, RECENT_S + 1, False),
        (503, FAULT, float("inf"), False),
        (500, FAULT, 0.1, False),
        (503, Failure(kind=FailureKind.PERMANENT, code="x", message="y"), 0.1, False),
    ],
)
def test_a_503_of_a_lane_that_answered_a_moment_ago_is_a_refusal(status, outcome, answered_s_ago, busy):
    assert is_busy(reply(status, b"<html>"), outcome, answered_s_ago=answered_s_ago) is busy


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (RefusalCause.UNSAID, RefusalCause.BUSY),
        (RefusalCause.TOKENS, RefusalCause.BUSY),
        (RefusalCause.IN_FLIGHT, RefusalCause.IN_FLIGHT),
    ],
)
def test_as_a_refusal_it_keeps_its_words_and_has_no_bound_of_attempts(words, cause):
    refusal = as_refusal(FAULT, words)
    assert (refusal.kind, refusal.code, refusal.most_attempts) == (FailureKind.RATE_LIMITED, "http_503", None)
    assert refusal.cause is cause
