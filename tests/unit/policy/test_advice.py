"""What a person is told to do about a dead letter."""

import pytest

from batcher.policy.advice import advice


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
        ("empty_answer", "transient", 200, "nothing"),
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
        ("reply_too_large", "permanent", None, "larger"),
        ("a_code_of_tomorrow", "permanent", 400, "dlq show"),
    ],
)
def test_each_cause_has_its_own_way_out(code, kind, status, says):
    text = advice(code, kind, status)
    assert says in text
    assert "{code}" not in text
    assert "  " not in text


def test_the_command_names_the_code_it_is_about():
    assert "--code http_502" in advice("http_502", "transient", 502)


def test_a_code_that_a_shell_would_read_is_quoted():
    assert "--code '$(reboot); x'" in advice("$(reboot); x", "permanent", 400)
