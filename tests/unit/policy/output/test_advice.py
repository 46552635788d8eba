"""What a person is told to do about a dead letter."""

import pytest

from batcher.policy.output.advice import Means, advice, advice_in_figures, by_code
from batcher.policy.wording.token_overflow import Figures, Overflow, together
from tests.support.messages import words


@pytest.mark.parametrize(
    ("code", "kind", "status", "says"),
    [
        ("context_length_exceeded", "permanent", 400, "window"),
        ("content_filter", "permanent", 200, "content filter"),
        ("invalid_prompt", "permanent", 400, "content filter"),
        ("model_not_found", "permanent", 404, "another model"),
        ("NOT_FOUND", "permanent", 404, "another model"),
        ("timeout", "transient", None, "--timeout"),
        ("refused_too_often", "rate_limited", 429, "max_tokens"),
        ("request_too_large", "permanent", 429, "max_tokens"),
        ("never_fits", "permanent", None, "--tpm"),
        ("invalid_json", "transient", 200, "cut short"),
        ("html_reply", "transient", 200, "web page"),
        ("no_choices", "transient", 200, "another model"),
        ("empty_answer", "transient", 200, "empty answer"),
        ("invalid_output", "transient", 200, "schema"),
        ("worker_lost", "transient", None, "report it"),
        ("tls", "transient", None, "--ca-file"),
        ("dns", "transient", None, "does not resolve"),
        ("connection_refused", "transient", None, "network"),
        ("http_502", "transient", 502, "every attempt"),
        ("server_error", "transient", 500, "every attempt"),
        ("invalid_request_error", "permanent", 400, "names the parameter"),
        ("unsupported_parameter", "permanent", 400, "dlq show"),
        ("http_403", "permanent", 403, "permission"),
        ("http_404", "permanent", 404, "path or the model"),
        ("http_405", "permanent", 405, "--base-url"),
        # Refused as an address, while others were answered.
        ("http_404", "transient", 404, "path or the model"),
        ("reply_too_large", "permanent", None, "larger"),
        ("a_code_of_tomorrow", "permanent", 400, "dlq show"),
    ],
)
def test_each_cause_has_its_own_way_out(code, kind, status, says):
    text = words(advice(code, kind, status))
    assert says in text
    assert "{" not in text
    assert "  " not in text


def test_the_command_names_the_code_it_is_about():
    assert "--code http_502" in words(advice("http_502", "transient", 502))


def test_a_code_that_a_shell_would_read_is_quoted():
    assert "--code '$(reboot); x'" in words(advice("$(reboot); x", "permanent", 400))


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("context_length_exceeded", "batcher dlq retry --code context_length_exceeded --set model=MODEL"),
        ("invalid_request_error", "batcher dlq retry --code invalid_request_error --set PATH=VALUE"),
        ("content_filter", "batcher dlq export --code content_filter -o fixed.jsonl"),
        ("empty_answer", "batcher dlq retry --code empty_answer --set max_tokens=N"),
    ],
)
def test_a_body_at_fault_is_mended_by_a_command(code, command):
    assert f"`{command}`" in words(advice(code, "permanent", 400))


def test_the_options_that_mean_the_letters_can_be_given():
    text = words(advice("http_502", "transient", 502, means=Means(which=by_code("http_502").replaced(job=3))))
    assert "`batcher dlq retry --job 3 --code http_502`" in text


CONTEXT = (
    "longest 9,310 tokens, limit 8,192: shorten them (`batcher dlq export --code c -o fixed.jsonl`, edit the "
    "file, then `batcher run fixed.jsonl --new`) or set another model with "
    "`batcher dlq retry --code c --set model=MODEL`"
)


def test_figures_come_first():
    figures = Figures(longest=9310, least_limit=8192, most_limit=8192)
    assert words(advice_in_figures("context_length_exceeded", figures, means=Means(which=by_code("c")))) == CONTEXT
    assert words(advice_in_figures("a_code_of_tomorrow", figures, means=Means(which=by_code("c")))) == CONTEXT


def test_a_rate_limit_that_is_too_small_can_be_raised():
    figures = Figures(longest=35210, least_limit=10000, most_limit=30000)
    text = words(advice_in_figures("request_too_large", figures, means=Means(which=by_code("request_too_large"))))
    assert text.startswith("longest 35,210 tokens, limit 10,000 to 30,000: lower max_tokens")
    assert "limit raised" in text


def test_several_overflows_are_one_longest_and_a_range_of_limits():
    three = [Overflow(tokens=5, limit=4), Overflow(tokens=9, limit=8), Overflow(tokens=7, limit=2)]
    assert together(three) == Figures(longest=9, least_limit=2, most_limit=8)
    assert together([]) is None
