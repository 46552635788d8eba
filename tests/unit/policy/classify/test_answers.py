"""docs/providers.md#answers: a 200 that is an answer, and one that is none."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.exchange import TransportFault
from batcher.domain.outcomes import Failure, Success, Usage
from batcher.domain.states import FailureKind, FaultKind, PauseScope
from batcher.policy.classify.answers import refuse_truncated
from batcher.policy.classify.classify import classify
from tests.support.messages import words
from tests.support.replies import FRESH, KNOWN, NOON, chat_reply, failure, judged, openrouter_error, reply, success

RETRY, RETRY_AT = FailureKind.TRANSIENT, FailureKind.RATE_LIMITED
DEAD, PAUSE = FailureKind.PERMANENT, FailureKind.BLOCKED
COUNTED = Usage(input_tokens=31, output_tokens=17)
TOOL = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "42"}]}


@pytest.mark.parametrize(
    "body",
    [
        chat_reply(),
        chat_reply([{"type": "text", "text": "42"}]),
        chat_reply([{"type": "thinking", "thinking": []}, {"type": "text", "text": "42"}]),
        chat_reply([{"type": "image_url", "image_url": {"url": "data:x"}}]),
        chat_reply(["42"]),
        chat_reply(None, "tool_calls", tool_calls=TOOL),
        chat_reply(None, "stop", tool_calls=TOOL),
        chat_reply(None, "function_call", function_call={"name": "f", "arguments": "{}"}),
        chat_reply(None, refusal="I can't help with that."),
        chat_reply(None, audio={"id": "audio_1"}),
        chat_reply(finish_reason=None),
        chat_reply(finish_reason="a_new_reason"),
        chat_reply() | {"model": "another-model", "error": None},
        chat_reply() | {"choices": [{"message": {"content": "42"}}, {"finish_reason": "content_filter"}]},
    ],
)
def test_a_chat_reply_with_something_to_deliver_is_a_success(body):
    assert success(body) == Success(usage=COUNTED)


@pytest.mark.parametrize(("content", "empty"), [("half of it", False), ("", True), (None, True)])
@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_an_answer_cut_by_a_token_limit_is_delivered_with_a_flag(content, empty, reason):
    assert success(chat_reply(content, reason)) == Success(usage=COUNTED, truncated=True, empty=empty)


def test_a_cut_tool_call_is_not_empty():
    calls = [{"id": "call_1"}]
    assert success(chat_reply(None, "length", tool_calls=calls)) == Success(usage=COUNTED, truncated=True)


@pytest.mark.parametrize("reason", ["stop", "eos", "COMPLETE", "unheard of", "what: else", None, 7])
def test_a_reason_that_says_nothing_bad_is_delivered(reason):
    assert success(chat_reply("all of it", reason)) == Success(usage=COUNTED)


@pytest.mark.parametrize(
    "reason", ["abort", "insufficient_system_resource", "overloaded", "error", "network_error"]
)
def test_an_answer_that_the_server_broke_off_is_tried_again(reason):
    found = failure(200, chat_reply("Half of it", reason))
    assert (found.kind, found.code) == (RETRY, "generation_failed")


@pytest.mark.parametrize(
    "reason", ["SAFETY", "content_filter: RECITATION", "PROHIBITED_CONTENT", "sensitive", "guardrail_intervened"]
)
@pytest.mark.parametrize("content", ["Half", None])
def test_an_answer_that_a_filter_withheld_is_a_dead_letter_at_once(reason, content):
    found = failure(200, chat_reply(content, reason))
    assert (found.kind, found.code) == (DEAD, "content_filter")


@pytest.mark.parametrize(
    ("body", "kind", "code", "most_attempts"),
    [
        (chat_reply("par", "content_filter"), DEAD, "content_filter", None),
        (chat_reply("", "error"), RETRY, "generation_failed", None),
        (chat_reply("", "stop"), RETRY, "empty_answer", 2),
        (chat_reply([{"type": "text", "text": ""}]), RETRY, "empty_answer", 2),
        (
            chat_reply([{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]),
            RETRY,
            "empty_answer",
            2,
        ),
        (chat_reply(None, reasoning_content="Hm."), RETRY, "empty_answer", 2),
        (chat_reply('{"message": "Too many tokens"}', "error_finish"), RETRY, "generation_failed", None),
        (chat_reply(None, "stop"), RETRY, "empty_answer", 2),
        (chat_reply(None, "tool_calls", tool_calls=[]), RETRY, "empty_answer", 2),
        (chat_reply() | {"choices": []}, RETRY, "no_choices", 2),
        (chat_reply() | {"choices": None}, RETRY, "no_choices", 2),
        (chat_reply() | {"choices": {"0": 1}}, RETRY, "no_choices", 2),
        (chat_reply() | {"choices": [None]}, RETRY, "empty_answer", 2),
        (chat_reply() | {"choices": [{"finish_reason": "stop"}]}, RETRY, "empty_answer", 2),
        (
            chat_reply() | {"choices": [{"finish_reason": "error"}, {"finish_reason": "content_filter"}]},
            DEAD,
            "content_filter",
            None,
        ),
    ],
)
def test_a_chat_reply_with_nothing_to_deliver_says_why_and_keeps_what_was_billed(body, kind, code, most_attempts):
    found = failure(200, body)
    assert (found.kind, found.code, found.most_attempts, found.usage) == (kind, code, most_attempts, COUNTED)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"choices": [{"text": "42", "finish_reason": "stop"}]}),
        ("/v1/embeddings", {"data": [{"embedding": [0.1, 0.2]}, {"embedding": "AAAA"}]}),
        ("/v1/moderations", {"results": [{"flagged": False}]}),
        ("/v1/responses", {"status": "completed", "error": None, "output": [{"type": "reasoning"}, MESSAGE]}),
        ("/v1/responses", {"status": "completed", "output": [{"type": "function_call", "name": "f"}]}),
        (
            "/v1/responses",
            {"status": "completed", "output": [{"type": "message", "content": [{"refusal": "No."}]}]},
        ),
        ("/v1/responses", {"output": [MESSAGE]}),
        (
            "/v1/messages",
            {"type": "message", "stop_reason": "end_turn", "content": [{"type": "text", "text": "42"}]},
        ),
        ("/v1/messages", {"type": "message", "stop_reason": "refusal", "content": []}),
        ("/v1/messages", {"type": "message", "stop_reason": "pause_turn", "content": []}),
        (
            "/v1/models/g:generateContent",
            {"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "4"}]}}]},
        ),
        (
            "/v1/models/g:generateContent",
            {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "x"}]}}]},
        ),
        ("/v1/messages", {"stop_reason": "tool_use", "content": [{"type": "tool_use", "name": "f"}]}),
        ("/v1/rerank", {"results": []}),
        ("/v1/images/generations", {}),
    ],
)
def test_answers_of_the_other_paths_are_successes(path, body):
    assert success(body, path=path) == Success(usage=Usage())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"choices": [{"text": "", "finish_reason": "length"}]}),
        ("/v1/responses", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
        ("/v1/messages", {"stop_reason": "max_tokens", "content": []}),
        ("/v1/messages", {"stop_reason": "model_context_window_exceeded", "content": []}),
        ("/v1/models/g:generateContent", {"candidates": [{"finishReason": "MAX_TOKENS"}]}),
    ],
)
def test_answers_of_the_other_paths_can_be_cut_too(path, body):
    assert success(body, path=path).truncated


@pytest.mark.parametrize(
    ("path", "body", "kind", "code"),
    [
        ("/v1/completions", {"choices": [{"text": "", "finish_reason": "stop"}]}, RETRY, "empty_answer"),
        (
            "/v1/completions",
            {"choices": [{"text": "x", "finish_reason": "content_filter"}]},
            DEAD,
            "content_filter",
        ),
        ("/v1/embeddings", {"data": []}, RETRY, "empty_answer"),
        ("/v1/embeddings", {"data": [{"embedding": [0.1]}, {"embedding": []}]}, RETRY, "empty_answer"),
        ("/v1/embeddings", {"object": "list"}, RETRY, "empty_answer"),
        ("/v1/embeddings", {"data": [{"embedding": [None, None]}]}, RETRY, "null_embedding"),
        ("/v1/embeddings", {"data": [{"embedding": [0.1]}, {"embedding": [[None]]}]}, RETRY, "null_embedding"),
        ("/v1/embeddings", b'{"data": [{"embedding": [NaN, NaN]}]}', RETRY, "null_embedding"),
        ("/v1/moderations", {"results": []}, RETRY, "empty_answer"),
        ("/v1/responses", {"status": "completed", "output": []}, RETRY, "empty_answer"),
        ("/v1/responses", {"status": "completed", "output": [{"type": "reasoning"}]}, RETRY, "empty_answer"),
        (
            "/v1/responses",
            {"status": "completed", "output": [{"type": "message", "content": [{"text": ""}]}]},
            RETRY,
            "empty_answer",
        ),
        ("/v1/responses", {"status": "failed"}, RETRY, "generation_failed"),
        ("/v1/responses", {"status": "in_progress"}, RETRY, "not_finished"),
        (
            "/v1/responses",
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            DEAD,
            "content_filter",
        ),
        (
            "/v1/responses",
            {"status": "failed", "error": {"code": "server_error", "message": "x"}},
            RETRY,
            "server_error",
        ),
        (
            "/v1/responses",
            {"status": "failed", "error": {"code": "rate_limit_exceeded"}},
            RETRY_AT,
            "rate_limit_exceeded",
        ),
        ("/v1/responses", {"status": "failed", "error": {"code": "invalid_prompt"}}, DEAD, "invalid_prompt"),
        ("/v1/responses", {"status": "failed", "error": {"code": "bio_policy"}}, DEAD, "bio_policy"),
        ("/v1/responses", {"status": "failed", "error": {"code": "image_too_large"}}, DEAD, "image_too_large"),
        ("/v1/messages", {"stop_reason": "end_turn", "content": []}, RETRY, "empty_answer"),
        (
            "/v1/messages",
            {"stop_reason": "end_turn", "content": [{"type": "text", "text": ""}]},
            RETRY,
            "empty_answer",
        ),
        (
            "/v1/messages",
            {"stop_reason": "end_turn", "content": [{"type": "redacted_thinking", "data": "x"}]},
            RETRY,
            "empty_answer",
        ),
        (
            "/v1/models/g:generateContent",
            {"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "x", "thought": True}]}}]},
            RETRY,
            "empty_answer",
        ),
        (
            "/v1/models/g:generateContent",
            {
                "candidates": [
                    {"finishReason": "STOP", "content": {"parts": [{"text": "", "thoughtSignature": "x"}]}}
                ]
            },
            RETRY,
            "empty_answer",
        ),
        ("/v1/models/g:generateContent", {"promptFeedback": {"blockReason": "SAFETY"}}, DEAD, "content_filter"),
        ("/v1/models/g:generateContent", {"candidates": []}, RETRY, "no_choices"),
        ("/v1/models/g:generateContent", {"candidates": [{"finishReason": "RECITATION"}]}, DEAD, "content_filter"),
        (
            "/v1/models/g:generateContent",
            {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "content": {"parts": [1]}}]},
            RETRY,
            "generation_failed",
        ),
    ],
)
def test_replies_of_the_other_paths_that_are_no_answers(path, body, kind, code):
    found = failure(200, body, path=path)
    assert (found.kind, found.code) == (kind, code)


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (openrouter_error(502, "Provider returned error"), RETRY, "http_502"),
        (openrouter_error(429), RETRY_AT, "http_429"),
        (openrouter_error(400), DEAD, "http_400"),
        (openrouter_error(402), PAUSE, "http_402"),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, PAUSE, "insufficient_quota"),
        ({"error": {"code": "rate_limit_exceeded", "message": "x"}}, RETRY_AT, "rate_limit_exceeded"),
        ({"error": {"type": "overloaded_error", "message": "x"}}, RETRY_AT, "overloaded_error"),
        ({"error": {"type": "invalid_request_error", "message": "x"}}, DEAD, "invalid_request_error"),
        ({"error": {"code": "model_not_found", "message": "x"}}, PAUSE, "model_not_found"),
        ({"error": {"type": "authentication_error", "message": "x"}}, PAUSE, "authentication_error"),
        ({"error": "something broke"}, RETRY, "http_500"),
        ([{"error": {"code": 503, "message": "x"}}], RETRY, "http_503"),
        ({"object": "error", "type": "rate_limited", "code": "1300", "message": "x"}, RETRY_AT, "rate_limited"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, RETRY_AT, "overloaded_error"),
    ],
)
def test_an_error_in_a_200_is_judged_by_what_it_says(body, kind, code):
    found = failure(200, body)
    assert (found.kind, found.code) == (kind, code)


CREDIT = "Insufficient balance, please recharge."
LENGTH = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."


def in_choice(error: object, content: str = "", reason: str = "error") -> dict[str, object]:
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content}}
    return {"id": "gen-1", "choices": [{**choice, "error": error}], "usage": {"prompt_tokens": 31}}


@pytest.mark.parametrize(
    ("body", "kind", "code", "message"),
    [
        # DashScope, FastAPI, gateways: no wrapper and no answer.
        ({"code": "Throttling.RateQuota", "message": "too fast", "request_id": "1"}, RETRY_AT, None, "too fast"),
        ({"code": "InvalidApiKey", "message": "wrong"}, PAUSE, "InvalidApiKey", "wrong"),
        ({"code": "DataInspectionFailed", "message": "no", "choices": None}, DEAD, "DataInspectionFailed", "no"),
        ({"code": "Arrearage", "message": "overdue"}, PAUSE, "Arrearage", "overdue"),
        ({"code": "SystemError", "message": "broke"}, RETRY, "SystemError", "broke"),
        ({"code": 429, "message": "slower", "choices": []}, RETRY_AT, "http_429", "slower"),
        ({"detail": "the worker died"}, RETRY, "http_500", "the worker died"),
        ({"detail": [{"loc": ["body", "n"], "msg": "No."}]}, RETRY, "http_500", "body.n: No."),
        ({"success": False, "message": "queue broke"}, RETRY, "http_500", "queue broke"),
        ({"success": False, "error_code": 429, "error_msg": "slower"}, RETRY_AT, "http_429", "slower"),
        ({"errorCode": "RESOURCE_EXHAUSTED", "errorMessage": "slower"}, RETRY_AT, "RESOURCE_EXHAUSTED", "slower"),
        # Known by its words alone.
        ({"error": CREDIT}, PAUSE, "http_429", CREDIT),
        ({"message": "Incorrect API key provided"}, PAUSE, "http_401", "Incorrect API key provided"),
        ({"error": {"message": "Model Not Exist"}}, PAUSE, "http_404", "Model Not Exist"),
        ({"error": LENGTH}, DEAD, "context_length_exceeded", LENGTH),
        # OpenRouter: the error stands in the choice, and its code is a status.
        (in_choice({"code": 502, "message": "upstream"}), RETRY, "http_502", "upstream"),
        (in_choice({"code": 429, "message": "slower"}, "He"), RETRY_AT, "http_429", "slower"),
        (in_choice({"code": 400, "message": "bad"}), DEAD, "http_400", "bad"),
        (in_choice({"code": 402, "message": "pay"}), PAUSE, "http_402", "pay"),
        (in_choice("broke"), RETRY, "http_500", "broke"),
        # Nothing is said: the flaw of the answer stays.
        ({"choices": []}, RETRY, "no_choices", "the reply has no choices"),
        ({"code": 200, "msg": "Success", "data": {}}, RETRY, "no_choices", "the reply has no choices"),
        (in_choice(None), RETRY, "generation_failed", "the provider says that generating failed"),
        (in_choice({}), RETRY, "generation_failed", "the provider says that generating failed"),
    ],
)
def test_an_error_in_place_of_an_answer_keeps_its_code_and_its_words(body, kind, code, message):
    found = failure(200, body)
    assert (found.kind, found.message) == (kind, message)
    assert found.code == (code or "Throttling.RateQuota")


def test_an_error_in_a_choice_keeps_what_was_billed():
    assert failure(200, in_choice({"code": 502, "message": "x"})).usage == Usage(input_tokens=31)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (chat_reply() | {"message": "note", "code": "x", "detail": "y"}, "/v1/chat/completions"),
        (in_choice({"code": 502, "message": "x"}, "whole", "stop"), "/v1/chat/completions"),
        ({"code": "0", "message": "ok", "results": [1]}, "/v1/rerank"),
    ],
)
def test_fields_of_an_error_beside_an_answer_say_nothing(body, path):
    assert isinstance(judged(200, body, path=path), Success)


def test_a_filtered_answer_stays_one():
    body = in_choice({"code": 502, "message": "x"}, reason="content_filter")
    assert failure(200, body).code == "content_filter"


def test_an_error_in_a_200_keeps_what_was_billed():
    body = openrouter_error(502) | {"usage": {"prompt_tokens": 31, "completion_tokens": 17}}
    assert failure(200, body).usage == COUNTED


WHOLE = msgspec.json.encode(chat_reply())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        WHOLE[:-1],
        WHOLE + b"}",
        WHOLE.replace(b'"42"', b'"4\xff2"'),
        WHOLE.replace(b"1763800000", b"9" * 5_000),
        WHOLE.replace(b"1763800000", b"[" * 100_000 + b"]" * 100_000),
        WHOLE.replace(b'"chatcmpl-1"', b'"\xc3\x28"'),
        b"data: {}\n\ndata: [DONE]\n\n",
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/rerank"])
@pytest.mark.parametrize("context", [FRESH, KNOWN])
def test_a_body_that_is_no_whole_json_object_is_never_delivered(body, path, context):
    found = failure(200, body, path=path, context=context)
    assert (found.kind, found.code) == (RETRY, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        WHOLE.replace(b"1763800000", b"1e999"),
        WHOLE.replace(b"1763800000", b"NaN"),
        WHOLE.replace(b"1763800000", b"-Infinity"),
        WHOLE.replace(b'"42"', b'"4\\ud8002"'),
        WHOLE.replace(b'"42"', b'"4\t2"'),
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE + b"\n\ndata: [DONE]\n\n",
        b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\r\n\r\n" + WHOLE,
        WHOLE[:-1] + b', "error": {"message": "", "type": "", "param": "", "code": null}}',
        WHOLE[:-1] + b', "error": null, "errors": []}',
    ],
)
def test_an_answer_that_every_consumer_reads_is_delivered(body):
    assert success(body) == Success(usage=COUNTED)


@pytest.mark.parametrize("body", [b"[]", b'[{"index": 0, "score": 0.5}]', b'"42"', b"null", b"7"])
def test_where_the_form_is_not_known_any_json_is_an_answer(body):
    assert success(body, path="/v1/rerank") == Success(usage=Usage())
    found = failure(200, body, path="/v1/embeddings")
    assert (found.kind, found.code, found.most_attempts) == (RETRY, "invalid_json", 2)
    assert found.message.startswith("the reply is a JSON ")


def test_an_answer_in_another_charset_is_asked_for_once_more_and_named():
    found = failure(200, WHOLE.replace(b'"42"', b'"4\xe92"'))
    assert (found.kind, found.code, found.most_attempts) == (RETRY, "invalid_json", 2)
    assert re.search(r"byte \d+ is not UTF-8", found.message)
    assert failure(200, WHOLE.replace(b'"42"', b'"4\xe92"')[:-9]).most_attempts is None


def test_a_list_with_an_error_is_no_answer():
    found = failure(200, [{"error": {"code": 503, "message": "busy"}}], path="/v1/rerank")
    assert (found.kind, found.code) == (RETRY, "http_503")


def test_an_unasked_stream_and_media_say_what_they_are():
    stream = failure(
        200, b'data: {"choices": []}\n\ndata: [DONE]\n\n', {"content-type": "text/event-stream"}, context=FRESH
    )
    assert (stream.kind, stream.code, stream.most_attempts) == (RETRY, "unasked_stream", 2)
    sound = failure(200, b"ID3\x04", {"content-type": "audio/mpeg"}, context=FRESH)
    assert (sound.kind, sound.code) == (DEAD, "not_json")
    assert "audio/mpeg" in sound.message


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (WHOLE[:-9], "application/json", "is not a complete JSON object: {"),
        (b"upstream gone", "application/json", "is not JSON (application/json): upstream gone"),
        (b"", "application/json", "the reply is empty"),
    ],
)
def test_only_what_begins_as_json_is_said_to_be_cut(body, kind, says):
    assert says in failure(200, body, {"content-type": kind}).message


@given(st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_no_prefix_of_an_answer_is_an_answer(length):
    assert failure(200, WHOLE[:length]).kind is RETRY


def test_a_204_is_tried_again():
    found = failure(204, b"")
    assert (found.kind, found.code, found.message) == (RETRY, "invalid_json", "the reply is empty")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/plain", ""])
def test_a_login_page_pauses_the_endpoint_before_any_answer_and_is_tried_few_times_after(kind):
    page = b"\n<html><head><title>Sign in</title></head></html>"
    first = failure(200, page, {"content-type": kind}, context=FRESH)
    assert first.pause is not None
    assert first.pause.scope is PauseScope.ENDPOINT
    assert "Sign in" in first.message
    later = failure(200, page, {"content-type": kind}, context=KNOWN)
    assert (later.kind, later.code, later.most_attempts) == (RETRY, "html_reply", 3)


def test_a_text_in_place_of_json_pauses_the_endpoint_before_any_answer():
    first = failure(200, b"Ollama is running", {"content-type": "text/plain"}, context=FRESH)
    assert first.pause is not None
    assert "Ollama is running" in words(first.pause.message)
    assert failure(200, b"Ollama is running", {"content-type": "text/plain"}).code == "invalid_json"


def test_an_answer_is_an_answer_whatever_its_content_type_says():
    assert success(chat_reply(), headers={"content-type": "text/html"}) == Success(usage=COUNTED)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(input_tokens=3)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(input_tokens=3, output_tokens=4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(input_tokens=0, output_tokens=0)),
        ({"prompt_tokens": "3", "completion_tokens": -1}, Usage(input_tokens=3)),
        ({"prompt_tokens": 31.0, "completion_tokens": 14417.92}, Usage(input_tokens=31, output_tokens=14418)),
        ({"prompt_tokens": True, "completion_tokens": -1.5}, Usage()),
        ({"prompt_tokens": "3.5", "completion_tokens": 1e300}, Usage()),
        ({"prompt_tokens": "9" * 5_000, "completion_tokens": "\u0663"}, Usage()),
        ([1], Usage()),
    ],
)
def test_usage_is_read_in_every_spelling_and_what_is_no_count_is_unknown(usage, expected):
    assert success(chat_reply(usage=usage)).usage == expected


def test_geminis_own_usage_is_read():
    body = {
        "candidates": [{"content": {"parts": [{"text": "4"}]}}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6},
    }
    assert success(body, path="/v1/models/g:generateContent").usage == Usage(input_tokens=5, output_tokens=6)


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_of_the_transport_is_transient_but_for_a_reply_that_is_too_large(kind):
    fault = TransportFault(kind=kind, message="why", sent_at=1, ended_at=NOON, latency_us=2, sent=True)
    found = classify(fault, path="/v1/chat/completions", context=FRESH)
    assert isinstance(found, Failure)
    assert found.kind is (DEAD if kind is FaultKind.REPLY_TOO_LARGE else RETRY)
    assert (found.code, found.message) == (kind.value, "why")


NAMES = [
    *("choices", "message", "content", "finish_reason", "error", "code", "type", "usage", "data", "output"),
    *("status", "details", "metadata", "detail", "candidates", "results", "embedding", "stop_reason"),
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 600)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    JSON,
    st.integers(100, 599),
    st.sampled_from(
        [
            "chat/completions",
            "completions",
            "embeddings",
            "responses",
            "moderations",
            "messages",
            "m:generateContent",
        ]
    ),
)
def test_classifying_never_raises_whatever_json_comes(body, status, path):
    assert judged(status, body, path=f"/v1/{path}") is not None


@given(st.binary(max_size=40), st.integers(100, 599))
def test_classifying_never_raises_whatever_bytes_come(body, status):
    assert classify(reply(status, body), path="/v1/responses", context=KNOWN) is not None


@pytest.mark.parametrize(
    ("inputs", "vectors", "whole"),
    [
        ("one", 1, True),
        (["a", "b", "c"], 3, True),
        (["a", "b", "c"], 2, False),
        (["a"], 2, False),
        ([1, 2, 3], 1, True),
        ([[1], [2]], 2, True),
        ([[1], [2]], 1, False),
        (None, 2, True),
    ],
)
def test_there_is_a_vector_for_each_input(inputs, vectors, whole):
    data = [{"object": "embedding", "index": place, "embedding": [0.1]} for place in range(vectors)]
    request = msgspec.json.encode({"model": "m", "input": inputs})
    found = classify(reply(200, {"data": data}), path="/v1/embeddings", context=KNOWN, request=request)
    if whole:
        assert isinstance(found, Success)
    else:
        assert isinstance(found, Failure)
        assert (found.kind, found.code, found.most_attempts) == (RETRY, "fewer_embeddings", 2)


def test_an_index_twice_is_no_vector_for_each_input():
    data = [{"index": 0, "embedding": [0.1]}, {"index": 0, "embedding": [0.2]}]
    found = classify(
        reply(200, {"data": data}), path="/v1/embeddings", context=KNOWN, request=b'{"input": ["a", "b"]}'
    )
    assert isinstance(found, Failure)


def test_vectors_without_an_index_are_taken_in_their_order():
    data = [{"embedding": [0.1]}, {"embedding": [0.2]}]
    found = classify(
        reply(200, {"data": data}), path="/v1/embeddings", context=KNOWN, request=b'{"input": ["a", "b"]}'
    )
    assert isinstance(found, Success)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1002, RETRY_AT), (1039, RETRY_AT), (1004, PAUSE), (1008, PAUSE), (1026, DEAD), (1027, DEAD)],
)
def test_an_error_in_minimax_s_own_form_is_read(code, kind):
    body = {"base_resp": {"status_code": code, "status_msg": "said"}}
    found = failure(200, body)
    assert (found.kind, found.code, found.message) == (kind, f"minimax_{code}", "said")


def test_minimax_s_form_beside_an_answer_says_nothing_bad():
    assert success(chat_reply() | {"base_resp": {"status_code": 0, "status_msg": ""}}) == Success(usage=COUNTED)


def test_success_false_is_an_error():
    found = failure(200, {"code": 500, "msg": "404 NOT_FOUND", "success": False})
    assert (found.kind, found.code, found.message) == (RETRY, "http_500", "404 NOT_FOUND")


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Success(usage=COUNTED, truncated=True), "the answer was cut at its token limit"),
        (Success(usage=COUNTED, truncated=True, empty=True), "before its first word"),
    ],
)
def test_cut_answers_are_dead_letters_where_that_was_asked_for(outcome, message):
    found = refuse_truncated(outcome)
    assert isinstance(found, Failure)
    assert (found.kind, found.code, found.usage) == (DEAD, "truncated", COUNTED)
    assert message in found.message


def test_other_outcomes_stay_where_cut_answers_are_dead_letters():
    for outcome in (Success(usage=COUNTED), Failure(kind=RETRY, code="timeout", message="late")):
        assert refuse_truncated(outcome) is outcome


def test_json_that_was_cut_is_no_media_whatever_its_type():
    found = failure(200, WHOLE[:-9], {"content-type": "application/octet-stream"})
    assert (found.kind, found.code) == (RETRY, "invalid_json")


@pytest.mark.parametrize("code", ["internal_error", "truncated", "not_json"])
def test_a_providers_code_is_not_taken_for_one_of_ours(code):
    assert failure(500, {"error": {"code": code, "message": "x"}}).code == "http_500"
