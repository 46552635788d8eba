"""Identifiers are read word by word."""

import pytest

from batcher.policy.wording.identifiers import as_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_parallel_requests", "max parallel requests"),
        ("Limit type: max_parallel_requests. Remaining: 0", "Limit type: max parallel requests. Remaining: 0"),
        ("TooManyConcurrentRequests", "Too Many Concurrent Requests"),
        ("rateLimitTPMExceeded", "rate Limit TPM Exceeded"),
        ("TPMLimit", "TPM Limit"),
        ("free-models-per-day", "free models per day"),
        ("__x__y", " x y"),
        ("gpt-4o in 20ms at 2026-11-22, 5 - 3 (RPD)", "gpt-4o in 20ms at 2026-11-22, 5 - 3 (RPD)"),
        ("", ""),
    ],
)
def test_an_identifier_is_split_into_its_words(text, words):
    assert as_words(text) == words


def test_several_texts_become_one():
    assert as_words("rate_limit", "Per day.") == "rate limit Per day."
