"""docs/providers.md#error-bodies: every shape of an error body, in one form."""

import json

import pytest

from batcher.policy.classify.error_body import read_evidence
from batcher.policy.lenient_json import NOT_JSON
from tests.support.replies import reply

ERROR = {"message": "No.", "type": "t", "param": "n", "code": "c"}


@pytest.mark.parametrize(
    ("body", "code", "kind", "message"),
    [
        ({"error": ERROR}, "c", "t", "No."),
        ({"error": {**ERROR, "code": None, "param": None}}, "", "t", "No."),
        ({"error": {**ERROR, "code": 404}}, "404", "t", "No."),
        ({"error": {**ERROR, "code": True}}, "", "t", "No."),
        ({"error": "Unauthorized"}, "", "", "Unauthorized"),
        ([{"error": ERROR}], "c", "t", "No."),
        ({"error": [ERROR]}, "c", "t", "No."),
        ({"errors": [{"message": "No.", "code": 7003}]}, "7003", "", "No."),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "No."}},
            "",
            "overloaded_error",
            "No.",
        ),
        (
            {"error": {"code": 429, "message": "No.", "status": "RESOURCE_EXHAUSTED"}},
            "429",
            "RESOURCE_EXHAUSTED",
            "No.",
        ),
        ({"object": "error", **ERROR}, "c", "t", "No."),
        (
            {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "No."}]}},
            "",
            "",
            "body.n: No.",
        ),
        ({"message": "Unauthorized", "request_id": "1"}, "", "", "Unauthorized"),
        ({"detail": "Unauthorized"}, "", "", "Unauthorized"),
        ({"detail": [{"loc": ["body", "n"], "msg": "No.", "type": "x"}]}, "", "", "body.n: No."),
        ({"statusCode": 429, "message": "No."}, "429", "", "No."),
        ({"error": {"code": "429", "message": "No."}}, "429", "", "No."),
        (
            {"error": {"code": 400, "message": "No.", "metadata": {"error_type": "refusal"}}},
            "400",
            "refusal",
            "No.",
        ),
        (
            {"fault": {"faultstring": "Spike arrest violation.", "detail": {"errorcode": "policies.x"}}},
            "policies.x",
            "",
            "Spike arrest violation.",
        ),
        ({"error": "invalid_grant", "error_description": "No."}, "", "invalid_grant", "No."),
        ({"Message": "No."}, "", "", "No."),
        ({"__type": "com.amazon.coral#ThrottlingException", "message": "No."}, "", "ThrottlingException", "No."),
        ({"type": "about:blank", "title": "Too Many Requests", "status": 429}, "", "", "Too Many Requests"),
        (
            {
                "type": "https://x/1015",
                "title": "T",
                "detail": "No.",
                "error_code": 1015,
                "error_name": "rate_limited",
            },
            "1015",
            "rate_limited",
            "No.",
        ),
        ({}, "", "", ""),
        ("No.", "", "", ""),
        (b"upstream\n  connect error", "", "", "upstream connect error"),
        (b"", "", "", ""),
    ],
)
def test_each_shape_is_read(body, code, kind, message):
    found = read_evidence(reply(500, body))
    assert (found.code, found.type, found.message) == (code, kind, message)
    assert not found.is_html


def test_anthropics_and_googles_details_are_kept():
    anthropic = {"error": {"type": "x", "message": "m", "details": {"error_code": "ramp_limit_exceeded"}}}
    assert read_evidence(reply(429, anthropic)).error_code == "ramp_limit_exceeded"
    google = {"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID"}, "odd"]}}
    assert read_evidence(reply(400, google)).details == ({"reason": "API_KEY_INVALID"}, {})


@pytest.mark.parametrize(
    ("body", "kind", "is_html", "message"),
    [
        (b"<html><title>502 Bad Gateway</title></html>", "text/html", True, "an HTML page: 502 Bad Gateway"),
        (b"\n <!doctype html><TITLE>\n Sign in </TITLE>", "", True, "an HTML page: Sign in"),
        (b"<html></html>", "text/plain", True, "an HTML page"),
        (b"oops", "Text/HTML; charset=utf-8", True, "an HTML page"),
        (b'{"message": "m"}', "text/html", False, "m"),
    ],
)
def test_a_page_for_people_is_known_by_its_look_or_its_type(body, kind, is_html, message):
    found = read_evidence(reply(502, body, {"content-type": kind}))
    assert (found.is_html, found.message) == (is_html, message)


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 100_000, b'{"error": "\xff"', b"\x00"],
)
def test_a_bomb_or_bad_text_is_no_json_and_raises_nothing(body):
    found = read_evidence(reply(500, body))
    assert found.document is NOT_JSON
    assert len(found.message) <= 200


def test_names_and_messages_of_any_length_are_cut():
    found = read_evidence(reply(400, {"error": {"code": "c" * 10_000, "message": "m" * 1_000_000}}))
    assert (len(found.code), len(found.message)) == (100, 2_000)


def test_a_message_deep_in_itself_is_given_up():
    message: object = "deep"
    for _ in range(50):
        message = {"message": message}
    assert read_evidence(reply(400, {"error": {"message": message}})).message == ""


QUOTED = {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "5s"}]}


@pytest.mark.parametrize(
    ("error", "code", "kind", "message"),
    [
        ({"message": json.dumps({"error": QUOTED}), "code": 429}, "429", "RESOURCE_EXHAUSTED", "Quota."),
        ({"message": json.dumps([{"error": QUOTED}], indent=1)}, "429", "RESOURCE_EXHAUSTED", "Quota."),
        (json.dumps({"error": QUOTED}), "429", "RESOURCE_EXHAUSTED", "Quota."),
        (
            {"message": f"VertexAIException - {json.dumps({'error': QUOTED})}. Model=x", "code": "limited"},
            "limited",
            "RESOURCE_EXHAUSTED",
            "VertexAIException - Quota.",
        ),
        (
            {
                "message": json.dumps({"error": {"code": "insufficient_quota", "message": "No."}}),
                "type": "upstream",
            },
            "insufficient_quota",
            "upstream",
            "No.",
        ),
    ],
)
@pytest.mark.parametrize("status", [429, 500])
def test_the_error_body_that_a_message_quotes_is_read(error, code, kind, message, status):
    found = read_evidence(reply(status, {"error": error}))
    assert (found.code, found.type, found.message) == (code, kind, message)


def test_what_a_quoted_error_details_is_kept():
    found = read_evidence(reply(429, {"error": {"message": json.dumps({"error": QUOTED}), "code": 429}}))
    assert found.details == ({"retryDelay": "5s"},)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, 'It was {"a": 1}'),
        (429, '{"error": "text"}'),
        (429, '{"error": {"code": "insufficient_quota"}}'),
        (429, "{" * 100_000),
        (429, "x" * 200 + json.dumps({"error": ERROR})),
        # The request may be repeated here.
        (400, f"invalid content: {json.dumps({'error': ERROR})}"),
    ],
)
def test_other_messages_with_braces_are_no_quotation(status, message):
    found = read_evidence(reply(status, {"error": {"message": message}}))
    assert (found.code, found.message) == ("", message[:2_000])


@pytest.mark.parametrize(("charset", "message"), [("latin-1", "d\u00e9pass\u00e9"), ("gbk", "\u4f59\u989d")])
def test_the_code_of_an_error_in_another_charset_is_read(charset, message):
    body = json.dumps({"error": {"message": message, "code": "insufficient_quota"}}, ensure_ascii=False)
    assert read_evidence(reply(429, body.encode(charset))).code == "insufficient_quota"
