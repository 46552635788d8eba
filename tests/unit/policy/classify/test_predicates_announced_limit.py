"""A refused request that alone exceeds the token limit that the reply's headers announce."""

import json

import pytest

from batcher.domain.outcomes import Failure
from batcher.domain.states import FailureKind
from batcher.policy.classify.classify import classify
from tests.support.replies import BUSY, CHAT, KNOWN, anthropic_error, openai_error, reply

REFUSED, DEAD = FailureKind.RATE_LIMITED, FailureKind.PERMANENT
TOKENS = openai_error("rate_limit_exceeded", None, "Rate limit reached for tokens per minute: limit 30000.")


def headers(limit="30000", left="30000"):
    said = {"x-ratelimit-limit-tokens": limit, "x-ratelimit-remaining-tokens": left, "retry-after": "21"}
    return {name: value for name, value in said.items() if value is not None}


def request(prompt="w", **fields):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}).encode()


def judge(said, sent, *, body=TOKENS, status=429, context=KNOWN):
    found = classify(reply(status, body, said), path=CHAT, context=context, request=sent)
    assert isinstance(found, Failure)
    return found


@pytest.mark.parametrize(
    ("said", "sent", "figures"),
    [
        (headers(), request(max_tokens=40_000), ("40,000", "30,000")),
        (headers(left="15000"), request(max_completion_tokens=40_000), ("40,000", "30,000")),
        (headers(limit="30,000", left="29,990"), request(max_tokens=30_001), ("30,001", "30,000")),
        # Prompt and maximum together, where nothing else can be the reason.
        (headers(left="29000"), request("w" * 140_000, max_tokens=25_000), ("45,0", "30,000")),
    ],
)
@pytest.mark.parametrize("context", [KNOWN, BUSY])
def test_it_is_a_dead_letter_with_both_figures(said, sent, figures, context):
    found = judge(said, sent, context=context)
    assert (found.kind, found.code) == (DEAD, "request_too_large")
    assert all(figure in found.message for figure in figures)
    assert "Rate limit reached" in found.message


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        # It fits, or states no maximum.
        (headers(), request(max_tokens=30_000 - 100)),
        (headers(), request()),
        (headers(), b""),
        # Others have used up the limit: it may be charged for what it produces alone.
        (headers(left="14999"), request(max_tokens=40_000)),
        (headers(left="0"), request(max_tokens=40_000)),
        (headers(left="20000"), request("w" * 140_000, max_tokens=25_000)),
        # Nothing is announced, or not all of it.
        (headers(left=None), request(max_tokens=40_000)),
        (headers(limit=None), request(max_tokens=40_000)),
        (headers(limit="0"), request(max_tokens=40_000)),
        # The size of a picture says nothing about its tokens.
        (headers(), request("data:image/png;base64," + "w" * 900_000, max_tokens=25_000)),
    ],
)
def test_what_may_be_admitted_later_is_refused(said, sent):
    assert judge(said, sent).kind is REFUSED


@pytest.mark.parametrize(
    "body",
    [
        openai_error("rate_limit_exceeded", None, "Too many concurrent requests"),
        openai_error("rate_limit_exceeded", None, "on requests per min (RPM): Limit 3"),
        openai_error("rate_limit_exceeded", None, "Provider returned error"),
        b"",
    ],
)
def test_a_refusal_for_something_else_says_nothing_about_its_size(body):
    assert judge(headers(), request(max_tokens=40_000), body=body).kind is REFUSED


def test_anthropic_charges_what_is_produced():
    said = {
        "anthropic-ratelimit-tokens-limit": "30000",
        "anthropic-ratelimit-tokens-remaining": "30000",
        "anthropic-ratelimit-tokens-reset": "2026-11-22T12:00:30Z",
    }
    body = anthropic_error("rate_limit_error", "This would exceed your limit of 30,000 output tokens per minute.")
    assert judge(said, request(max_tokens=40_000), body=body).kind is REFUSED


def test_a_fault_is_no_refusal():
    said = openai_error("server_error", None, "Something failed.")
    assert judge(headers(), request(max_tokens=40_000), body=said, status=500).kind is FailureKind.TRANSIENT
