"""Base URLs have one spelling; a request's URL is joined as text; a key travels in the open only at home."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.errors import ConfigError
from batcher.policy.urls import (
    host_of,
    is_loopback,
    is_private,
    key_may_travel,
    normalize_base_url,
    request_url,
)
from tests.support.messages import words


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("HTTPS://API.OpenAI.com:443/v1/", "https://api.openai.com/v1"),
        ("http://Host:80///", "http://host"),
        ("http://host:0080/v1", "http://host/v1"),
        ("https://host:80/v1", "https://host:80/v1"),
        ("https://host:/v1", "https://host/v1"),
        ("https://host/OpenAI/V1", "https://host/OpenAI/V1"),
        ("https://host/a//b/%2F", "https://host/a//b/%2F"),
        ("https://host/openai/?api-version=2024-10-21", "https://host/openai?api-version=2024-10-21"),
        ("https://host/v1?", "https://host/v1"),
        ("https://host?a=b/", "https://host?a=b/"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://[2001:DB8:0:0::1]/v1", "http://[2001:db8::1]/v1"),
        ("http://[::ffff:127.0.0.1]/v1", "http://[::ffff:7f00:1]/v1"),
        ("http://my_vllm:8000/v1", "http://my_vllm:8000/v1"),
        ("https://host.example.com./v1", "https://host.example.com./v1"),
        ("https://xn--mnchen-3ya.de/v1", "https://xn--mnchen-3ya.de/v1"),
    ],
)
def test_a_base_url_has_one_spelling(text: str, normal: str):
    assert normalize_base_url(text) == normal
    assert normalize_base_url(normal) == normal


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("localhost:8000/v1", "does not begin with http"),
        ("api.openai.com/v1", "does not begin with http"),
        ("//api.openai.com/v1", "does not begin with http"),
        ("ftp://host/v1", "does not begin with http"),
        ("http:/host/v1", "does not begin with http"),
        ("https://", "has no host"),
        ("https:///v1", "has no host"),
        ("https://:443/v1", "has no host"),
        ("https://[::1/v1", "is not a URL"),
        ("https://user:hunter2@[::1/v1", "is not a URL"),
        ("https://[zz]/v1", "is not a URL|neither a name"),
        (" https://host/v1", "white space"),
        ("https://host/v1\n", "white space"),
        ("https://host/a b", "white space"),
        ("https://host/\u202ev1", "control character"),
        ("https://host/\x7f", "control character"),
        ("https://host/v1#top", "fragment"),
        ("https://user:hunter2@host/v1", "user name"),
        ("https://hunter2@host/v1", "user name"),
        ("https://@host/v1", "user name"),
        ("https://münchen.de/v1", "neither a name"),
        ("https://a..b/v1", "neither a name"),
        ("https://-a.com/v1", "neither a name"),
        ("https://evil.com\\.good.com/v1", "neither a name"),
        ("http://127.1/v1", "neither a name"),
        ("http://0x7f000001/v1", "neither a name"),
        ("http://2130706433/v1", "neither a name"),
        ("http://127.0.0.1.5/v1", "neither a name"),
        ("http://[fe80::1%25eth0]/v1", "neither a name"),
        ("https://{resource}.openai.azure.com/v1", "neither a name"),
        ("https://host/openai/{deployment}", "a URL cannot hold"),
        ("https://host/v1?q=é", "a URL cannot hold"),
        ("https://host:0/v1", "no valid port"),
        ("https://host:65536/v1", "no valid port"),
        ("https://host:x/v1", "no valid port"),
        ("https://host/v1/chat/completions", "ends in /chat/completions,"),
        ("https://host/v1/completions/", "ends in /completions,"),
        ("https://host/v1/embeddings", "ends in /embeddings,"),
        ("https://host/openai/deployments/d/chat/completions?api-version=1", "ends in /chat/completions,"),
    ],
)
def test_what_is_no_base_url_is_refused_with_a_way_to_mend_it(text: str, says: str):
    with pytest.raises(ConfigError, match=says) as caught:
        normalize_base_url(text)
    assert words(caught.value.hint)
    assert "hunter2" not in f"{words(caught.value.message)} {words(caught.value.hint)}"


@given(st.text())
def test_any_text_is_normalized_or_refused(text: str):
    try:
        normal = normalize_base_url("https://" + text)
    except ConfigError:
        return
    assert normalize_base_url(normal) == normal
    assert host_of(normal)


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://h/v1", "/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h", "/v1/embeddings", "https://h/embeddings"),
        (
            "https://h/openai?api-version=1",
            "/v1/chat/completions",
            "https://h/openai/chat/completions?api-version=1",
        ),
        ("https://h?x=1", "/v1/a", "https://h/a?x=1"),
        ("https://h/v1", "/v1/v1/a", "https://h/v1/v1/a"),
        ("https://h/v1", "/score", "https://h/score"),
        ("https://h/v1", "/v2/rerank", "https://h/v2/rerank"),
        ("https://h", "/v2/rerank", "https://h/v2/rerank"),
        ("https://h/api/v1?k=1", "/v2/rerank", "https://h/api/v2/rerank?k=1"),
        ("https://h/v1", "/v1beta/a", "https://h/v1beta/a"),
        ("https://h/api/paas/v4", "/v4/chat/completions", "https://h/api/paas/v4/chat/completions"),
        ("https://h/api/paas/v4", "/v1/chat/completions", "https://h/api/paas/v4/chat/completions"),
        ("https://h/api/paas/v4", "/v2/rerank", "https://h/api/paas/v4/v2/rerank"),
        ("https://h/openai/v1", "/openai/v1/chat/completions", "https://h/openai/v1/chat/completions"),
        (
            "https://h/openai/v1",
            "/openai/deployments/d/chat/completions",
            "https://h/openai/deployments/d/chat/completions",
        ),
        ("https://h/v4", "/v4", "https://h/v4/v4"),
        ("https://h/v1", "/v1/..%2e/a", "https://h/v1/..%2e/a"),
    ],
)
def test_base_url_and_path_are_joined_as_text(base: str, path: str, url: str):
    assert request_url(base, path) == url


LOOPBACK = ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"]
LOOPBACK += ["0.0.0.0", "::"]  # noqa: S104 # to connect to, not to bind
PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1", "fe80::1", "fd00::1"]
PRIVATE += [
    "[fc00::1]",
    "::ffff:10.0.0.1",
    "vllm",
    "gpu-box",
    "box.local",
    "BOX.LOCAL.",
    "a.internal",
    "x.home.arpa",
]
PUBLIC = ["api.openai.com", "8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.0.1", "2001:4860::1", "::ffff:8.8.8.8"]
PUBLIC += ["127.0.0.1.evil.com", "localhost.evil.com", "local.evil.com", "134744072", "0x8080808", "127.1", ""]


@pytest.mark.parametrize(
    ("host", "loopback", "private"),
    [
        *((host, True, False) for host in LOOPBACK),
        *((host, False, True) for host in PRIVATE),
        *((host, False, False) for host in PUBLIC),
    ],
)
def test_a_host_is_judged_by_its_address_or_name_alone(host: str, loopback: bool, private: bool):
    assert (is_loopback(host), is_private(host)) == (loopback, private)


@pytest.mark.parametrize(
    ("base_url", "allow_http", "may"),
    [
        ("https://api.openai.com/v1", False, True),
        ("http://api.openai.com/v1", False, False),
        ("http://api.openai.com/v1", True, True),
        ("http://127.0.0.1:8000/v1", False, True),
        ("http://[::1]:8000/v1", False, True),
        ("http://localhost/v1", False, True),
        ("http://10.1.2.3/v1", False, True),
        ("http://vllm:8000/v1", False, True),
        ("http://[2001:4860::1]/v1", False, False),
        ("http://100.64.0.1/v1", False, False),
    ],
)
def test_a_key_travels_over_http_only_at_home_or_where_allowed(base_url: str, allow_http: bool, may: bool):
    assert key_may_travel(base_url, allow_http) is may


@pytest.mark.parametrize(
    ("base_url", "host"),
    [("https://api.openai.com:8443/v1?x=@y", "api.openai.com"), ("http://[::1]:80", "::1"), ("http://h", "h")],
)
def test_the_host_of_a_base_url(base_url: str, host: str):
    assert host_of(base_url) == host


def test_the_address_of_an_endpoint_is_answered_with_the_base_url():
    with pytest.raises(ConfigError) as caught:
        normalize_base_url("https://host/v1/chat/completions/")
    assert words(caught.value.hint) == "give what stands before it: https://host/v1"
    assert normalize_base_url("https://host/responses/v1") == "https://host/responses/v1"
