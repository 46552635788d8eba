"""The key and the headers: found in their variables, refused with sense, never printed."""

from pathlib import Path

import pytest

from batcher.config import as_secret, check_ca_file, find_headers, find_key
from batcher.domain.errors import ConfigError
from batcher.domain.settings import JobSettings
from tests.support.messages import words

OPENAI = JobSettings(base_url="https://api.openai.com/v1")
LOCAL = JobSettings(base_url="http://127.0.0.1:8000/v1")
PUBLIC_HTTP = JobSettings(base_url="http://api.example.com/v1")


def test_the_key_comes_from_the_variable_the_job_names() -> None:
    settings = JobSettings(base_url=OPENAI.base_url, api_key_env="OTHER_KEY")
    key = find_key(settings, {"OTHER_KEY": "sk-1", "OPENAI_API_KEY": "sk-2"})
    assert key is not None
    assert key.reveal() == "sk-1"


@pytest.mark.parametrize("value", ["sk-1\n", "  sk-1", "\tsk-1\r\n"])
def test_white_space_around_a_key_is_taken_off(value: str) -> None:
    key = find_key(OPENAI, {"OPENAI_API_KEY": value})
    assert key is not None
    assert key.reveal() == "sk-1"


@pytest.mark.parametrize(("environ", "state"), [({}, "is not set"), ({"OPENAI_API_KEY": " \n"}, "is empty")])
def test_a_missing_key_is_an_error_that_names_the_variable(environ: dict[str, str], state: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_key(OPENAI, environ)
    assert words(caught.value.message) == (
        f"OPENAI_API_KEY {state}: export it, or name another variable with --api-key-env"
    )


@pytest.mark.parametrize(
    "settings",
    [
        LOCAL,
        JobSettings(base_url="http://localhost:11434/v1"),
        JobSettings(base_url="http://[::1]:8000/v1"),
        JobSettings(base_url="https://x.azure.com/openai/v1", headers={"Api-Key": "AZURE_KEY"}),
    ],
)
def test_no_key_is_asked_for_on_loopback_or_where_a_header_carries_it(settings: JobSettings) -> None:
    assert find_key(settings, {}) is None


def test_a_key_that_is_set_goes_to_loopback_too() -> None:
    key = find_key(LOCAL, {"OPENAI_API_KEY": "sk-1"})
    assert key is not None
    assert key.reveal() == "sk-1"


def test_the_simulated_provider_never_gets_a_key_or_headers() -> None:
    settings = JobSettings(base_url="http://simulated.localhost/v1", simulate=True, headers={"X-Team": "TEAM"})
    assert find_key(settings, {"OPENAI_API_KEY": "sk-1"}) is None
    assert find_headers(settings, {}) == {}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("sk-hunter2\nsk-more", "white space, a control character"),
        ("sk-hunter2 more", "white space, a control character"),
        ("sk-hunter2\x00", "white space, a control character"),
        ("sk-hunter2\x7f", "white space, a control character"),
        ("sk-hunter2\u200b", "outside ASCII"),
        ("“sk-hunter2”", "outside ASCII"),
        ('"sk-hunter2"', "quotes around the key"),
        ("'sk-hunter2'", "quotes around the key"),
        ("Bearer sk-hunter2", "begins with Bearer"),
        ("OPENAI_API_KEY=sk-hunter2", "begins with the name of a variable"),
        ("export HF_TOKEN=hunter2", "begins with the name of a variable"),
        ("$OPENAI_API_KEY", "name of a variable"),
        ("${OPENAI_API_KEY}", "name of a variable"),
        ("${OPENAI_API_KEY:-}", "name of a variable"),
        ("%OPENAI_API_KEY%", "name of a variable"),
        ("${{ secrets.OPENAI_API_KEY }}", "name of a variable"),
    ],
)
def test_what_no_key_holds_is_refused_and_not_printed(value: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_key(OPENAI, {"OPENAI_API_KEY": value})
    error = caught.value
    assert words(error.message).startswith("OPENAI_API_KEY ")
    assert says in words(error.message)
    assert "hunter2" not in words(error.message) + words(error.hint)


@pytest.mark.parametrize("key", ["$hunter2hunter2", "hunter2=", "sk-hunter2$KEY", "A=hunter2hunter2"])
def test_a_key_may_hold_any_printed_character(key: str) -> None:
    assert as_secret(key, "api_key").reveal() == key


def test_a_key_from_python_is_checked_by_the_same_rules() -> None:
    assert as_secret(" sk-1 ", "api_key").reveal() == "sk-1"
    with pytest.raises(ConfigError, match=r"^api_key is empty"):
        as_secret(" ", "api_key")


@pytest.mark.parametrize(
    ("base_url", "allow_http", "travels"),
    [
        ("https://api.example.com/v1", False, True),
        ("http://api.example.com/v1", False, False),
        ("http://api.example.com/v1", True, True),
        ("http://127.0.0.1:8000/v1", False, True),
        ("http://192.168.1.5:8000/v1", False, True),
        ("http://8.8.8.8/v1", False, False),
    ],
)
def test_a_key_travels_in_plain_http_only_where_it_may(base_url: str, allow_http: bool, travels: bool) -> None:
    settings = JobSettings(base_url=base_url, allow_http=allow_http, headers={"X-Key": "X_KEY"})
    environ = {"OPENAI_API_KEY": "sk-1", "X_KEY": "v"}
    if travels:
        assert find_key(settings, environ)
        assert find_headers(settings, environ)
        return
    for find in (find_key, find_headers):
        with pytest.raises(ConfigError, match="plain http") as caught:
            find(settings, environ)
        assert "--allow-http" in words(caught.value.hint)


def test_no_headers_travel_where_none_are_named() -> None:
    assert find_headers(PUBLIC_HTTP, {}) == {}


def test_headers_come_from_their_variables_in_their_order() -> None:
    settings = JobSettings(base_url=OPENAI.base_url, headers={"X-B": "B", "X-A": "A"})
    found = find_headers(settings, {"A": "one\n", "B": "two words"})
    assert [(name, value.reveal()) for name, value in found.items()] == [("X-B", "two words"), ("X-A", "one")]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "TEAM is not set: it holds the header X-Team"),
        ({"TEAM": ""}, "TEAM is empty: it holds the header X-Team"),
        ({"TEAM": "hunter2\r\nHost: evil"}, "TEAM holds a control character"),
        ({"TEAM": "hunter2é"}, "TEAM holds a control character or one outside ASCII"),
    ],
)
def test_a_header_that_cannot_be_sent_is_an_error_naming_its_variable(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_headers(JobSettings(base_url=OPENAI.base_url, headers={"X-Team": "TEAM"}), environ)
    assert words(caught.value.message).startswith(says)
    assert "hunter2" not in words(caught.value.message)


def test_remembered_headers_are_checked_again() -> None:
    with pytest.raises(ConfigError, match="the header Host cannot be set"):
        find_headers(JobSettings(base_url=OPENAI.base_url, headers={"Host": "H"}), {"H": "x"})


def test_a_ca_file_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    check_ca_file(None)
    check_ca_file(str(tmp_path / "ca.pem"))
    for wrong in (tmp_path / "gone.pem", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            check_ca_file(str(wrong))
        assert "--ca-file" in words(caught.value.hint)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://203.0.113.7/v1"])
def test_a_key_that_is_too_short_to_be_masked_goes_to_no_strangers(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_key(JobSettings(base_url=url), {"OPENAI_API_KEY": "q7z"})
    assert "fewer than 4 characters" in words(caught.value.message)
    assert "q7z" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://10.0.0.8/v1", "http://vllm:8000/v1"])
def test_a_key_of_any_length_goes_home(url: str) -> None:
    key = find_key(JobSettings(base_url=url), {"OPENAI_API_KEY": "x"})
    assert key is not None
    assert key.reveal() == "x"
