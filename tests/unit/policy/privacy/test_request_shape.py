"""A request without its words, and a message without what it quotes of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.privacy.prompt_scrubber import prompt_of, without_quotations
from batcher.policy.privacy.request_shape import shape_of
from batcher.policy.urls import shown_base_url


def body(**more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "secret words"}], **more}).encode()


def test_structure_types_and_lengths_stay_and_words_go():
    assert shape_of(body(temperature=0.5, max_tokens=10, stream=False, stop=None)) == {
        "model": "string of 1 characters",
        "messages": [{"role": "user", "content": "string of 12 characters"}],
        "temperature": 0.5,
        "max_tokens": 10,
        "stream": False,
        "stop": None,
    }


@pytest.mark.parametrize(
    ("part", "shape"),
    [
        ({"budget": 4711}, {"member 3 (6 characters)": "number"}),
        ({"metadata": {"n": 3, "Jane Doe": "x"}}, {"member 1 (1 characters)": "number"}),
        ({"logit_bias": {"50256": -100}}, {"member 1 (5 characters)": "number"}),
        ({"tools": [{"type": "function", "function": {"name": "call_jane"}}]}, "string of 9 characters"),
        ({"response_format": {"schema": {"properties": {"jane": {"type": "string"}}}}}, {"type": "string"}),
        ({"user": True}, "boolean"),
        ({"reasoning_effort": "jane"}, "string of 4 characters"),
        ({"reasoning_effort": "low"}, "low"),
    ],
)
def test_only_what_an_api_documents_is_kept(part, shape):
    shown = json.dumps(shape_of(body(**part)))
    assert json.dumps(shape).strip("{}") in shown
    assert "4711" not in shown
    assert "jane" not in shown.lower()


def test_long_lists_are_cut_and_say_so():
    shown = shape_of(json.dumps({"input": ["x"] * 30}).encode())
    assert shown == {"input": [*["string of 1 characters"] * 20, "… 10 more"]}


@pytest.mark.parametrize("raw", [b"no json", b"\xff", b"[" * 5000])
def test_what_is_no_json_is_only_measured(raw):
    assert shape_of(raw) == f"{len(raw)} bytes, not JSON"


def test_what_is_too_long_is_only_measured():
    assert shape_of(b'"%s"' % (b"x" * (1 << 20))) == f"{(1 << 20) + 2} bytes, not parsed"


@given(st.recursive(st.text(min_size=1), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_word_of_more_than_two_letters_of_nobodys_api_survives(document):
    canary = "qzxj"
    raw = json.dumps({"messages": [document, canary], canary: canary, "metadata": {canary: document}}).encode()
    assert canary not in json.dumps(shape_of(raw))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Rate limit reached for m", "Rate limit reached for m"),
        ("Invalid value: 'secret words'", "Invalid value: '[prompt]'"),
        ("Invalid value: 'SECRET WO…'", "Invalid value: '[prompt]…'"),
        ("near et word at 7", "near [prompt] at 7"),
        ("secret words, secret words", "[prompt], [prompt]"),
    ],
)
def test_what_a_message_quotes_of_the_prompt_goes(message, shown):
    assert without_quotations(message, prompt_of([body()])) == shown


def test_a_quotation_is_found_in_its_json_spelling_too():
    prompt = prompt_of([body(user="größte Straße\nhier")])
    quoted = json.dumps("größte Straße\nhier")
    assert without_quotations(f"cannot read {quoted}", prompt) == 'cannot read "[prompt]"'


def test_short_texts_go_whole_and_tiny_ones_stay():
    prompt = prompt_of([body(user="Jane", stop="ab")], more=["row-7"])
    assert without_quotations("Jane in row-7 said ab", prompt) == "[prompt] in [prompt] said ab"


def test_names_that_may_be_said_stay():
    prompt = prompt_of([body(model="my-long-model")], keep=["my-long-model", "model"])
    assert without_quotations("no my-long-model here", prompt) == "no my-long-model here"


def test_beside_a_body_too_large_to_compare_the_whole_message_goes():
    prompt = prompt_of([b'"%s"' % (b"x" * (1 << 20))])
    assert without_quotations("any words", prompt) == "[9 characters, left out]"


def test_the_words_of_a_body_that_is_no_json_go_too():
    assert without_quotations("bad: secret words", prompt_of([b"secret words"])) == "bad: [prompt]"


@given(st.text(min_size=6, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_whole_text_of_the_prompt_is_ever_left(text, before, after):
    shown = without_quotations(before + text + after, prompt_of([json.dumps({"user": text}).encode()]))
    assert text.lower() not in shown.lower() or text.lower() in "[prompt]"


def test_a_prompt_is_not_printed_by_accident():
    assert "secret" not in repr(prompt_of([body()]))


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("https://host/v1", "https://host/v1"),
        ("https://host/v1?api-version=1", "https://host/v1?api-version=1"),
        ("https://host/v1?key=abc&api-version=1", "https://host/v1?key=…&api-version=1"),
        ("https://host/v1?abc", "https://host/v1?…"),
    ],
)
def test_a_base_urls_query_may_be_a_key_and_is_not_shown(given_, shown):
    assert shown_base_url(given_) == shown
