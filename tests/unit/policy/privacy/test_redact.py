"""A key is taken out whole, escaped or masked; what only looks like one stays."""

import json
import timeit
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.privacy.redact import redact, redact_text

KEY = "sk-proj-Zx81KqTestKey0987654321abcdWXYZ"
ODD = "a+b/c=d.e~f&g<h>0123"
EMBEDDED = st.binary(max_size=60)


def clean(text: str, key: str = KEY) -> str:
    return redact_text(text, [key.encode()])


@pytest.mark.parametrize(
    "masked",
    [
        KEY,
        f"{KEY[:9]}*****{KEY[-4:]}",
        f"{KEY[:9]}*",
        f"{KEY[:10]}...{KEY[-4:]}",
        f"{KEY[:10]}…{KEY[-4:]}",
        f"{KEY[:10]}\\u2026{KEY[-4:]}",
        f"{KEY[:10]}••••{KEY[-2:]}",
        f"sk-proj-{'*' * 100}{KEY[-4:]}",
        f"sk-...{KEY[-4:]}",
        f"sk-{'*' * 12}{KEY[-2:]}",
        f"******{KEY[-4:]}",
        f"...{KEY[-6:]}",
        f"{KEY[:-1]}*",
    ],
)
@pytest.mark.parametrize("around", ["{}", '{{"error": "bad key {}."}}', "key={}&x", "\\n{}\\n", "x{} and {}"])
def test_a_key_or_its_masked_echo_is_replaced(masked: str, around: str):
    assert clean(around.format(masked, masked)) == around.format("[key]", "[key]")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"it is {KEY[:20]}.......", "it is [key]"),
        (f"**{KEY[:9]}...{KEY[-4:]}**", "**[key]**"),
        (f"`{KEY[:9]}****...{KEY[-4:]}`", "`[key][key]`"),
        (f"**…{KEY[-4:]}", "**[key]"),
        (f"sk-{KEY[:9]}***", "sk-[key]"),
    ],
)
def test_only_the_echo_itself_is_replaced(text: str, cleaned: str):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the key is set",
        'client = OpenAI(api_key="sk-...")',
        "sk-proj-****",
        "a task-... and a risk-*** and **bold** text...",
        "sk-ant-abc...wxyz",
        "...WXY",
        f"{KEY[:8]} WXYZ",
        f"{KEY[1:-1]}",
        f"{KEY[:20]}",
    ],
)
def test_what_is_no_echo_of_the_key_stays(text: str):
    assert clean(text) == text


@pytest.mark.parametrize(
    "spelled",
    [
        ODD,
        quote(ODD, safe=""),
        quote(ODD, safe="").lower(),
        ODD.replace("/", "\\/"),
        ODD.replace("<", "\\u003c").replace(">", "\\u003E").replace("&", "\\u0026"),
        ODD.replace("+", "%2B"),
        f"{ODD[:6]}****{ODD[-4:]}",
    ],
)
def test_escaped_spellings_of_a_key_are_replaced(spelled: str):
    assert clean(f"?key={spelled}&x=1", ODD) == "?key=[key]&x=1"


@pytest.mark.parametrize("key", ['quo"te\\key-123', "tab\tkey-456789", "%%%%!!!!((((", "ключ-ключ-ключ"])
def test_a_key_that_json_escapes_is_replaced(key: str):
    said = json.dumps({"error": f"bad {key}"})
    assert "[key]" in clean(json.loads(said)["error"], key)
    if key.isascii() and "\t" not in key:
        assert clean(said, key) == '{"error": "bad [key]"}'


@pytest.mark.parametrize(
    ("key", "text", "cleaned"),
    [
        ("k", "a k is a k", "a k is a k"),
        ("abc", "abc abc", "abc abc"),
        ("EMPTY", "EMPTY is EMPTY", "EMPTY is EMPTY"),
        ("ollama", "ollama", "ollama"),
        ("s3cr", "my s3cr, not s3cret", "my [key], not s3cret"),
        ("abc-123", "abc-123 abc...123", "[key] abc...123"),
        ("", "anything", "anything"),
    ],
)
def test_short_keys_and_placeholders_do_not_destroy_replies(key: str, text: str, cleaned: str):
    assert clean(text, key) == cleaned


def test_every_secret_is_looked_for():
    secrets = [KEY.encode(), b"other-token-1234567"]
    assert redact(f"{KEY} other-token-1234567".encode(), secrets) == b"[key] [key]"
    assert redact(b"x", ()) == b"x"


def test_text_with_lone_surrogates_is_cleaned_and_kept():
    assert clean(f"\ud800{KEY}\udcff") == "\ud800[key]\udcff"


@given(before=EMBEDDED, after=EMBEDDED)
def test_no_full_key_is_ever_left(before: bytes, after: bytes):
    key = KEY.encode()
    assert key not in redact(before + key + after, [key])


@given(data=st.text(alphabet="sk-pro*.Zx81…XYZWd", max_size=80), head=st.integers(9, 30), tail=st.integers(0, 20))
def test_no_masked_key_is_ever_left_and_cleaning_twice_changes_nothing(data: str, head: int, tail: int):
    masked = f"{KEY[:head]}***{KEY[len(KEY) - tail :]}"
    once = clean(data + masked)
    assert KEY[:head] + "***" not in once
    assert clean(once) == once


@given(st.binary(max_size=300))
def test_data_without_the_key_comes_back_as_the_same_object(data: bytes):
    assert redact(data, [b"sk-proj-never-in-random-data"]) is data or b"*" in data or b"." in data


def test_a_usual_reply_costs_about_a_microsecond():
    body = json.dumps({"choices": [{"message": {"content": "The answer is 42. " * 15}}]}).encode()
    secrets = (KEY.encode(),)
    best = min(timeit.repeat(lambda: redact(body, secrets), number=1000, repeat=5)) / 1000
    assert best < 20e-6, "an order of magnitude of room for a busy machine"


def test_a_large_hostile_reply_takes_linear_time():
    hostile = b"sk-" + b"*" * (4 << 20) + b"sk-p... " * 50_000
    took = min(timeit.repeat(lambda: redact(hostile, [KEY.encode()]), number=1, repeat=2))
    assert took < 5
