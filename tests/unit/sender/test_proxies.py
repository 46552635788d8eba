"""Which proxy the environment names, by which variable, and which cannot be used."""

import pytest

from batcher.domain.errors import ConfigError
from batcher.sender.connect import proxy_of
from batcher.sender.proxies import NamedProxy, check_proxy, named_proxy, proxy_variable
from tests.support.messages import words

URL = "https://api.example.com/v1"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PROXY = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environ", "url", "variable"),
    [
        ({"HTTPS_PROXY": PROXY}, URL, "HTTPS_PROXY"),
        ({"https_proxy": PROXY}, URL, "https_proxy"),
        ({"ALL_PROXY": PROXY}, URL, "ALL_PROXY"),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://other:1"}, URL, "HTTPS_PROXY"),
        ({"HTTP_PROXY": PROXY, "HTTPS_PROXY": "http://other:1"}, "http://api.example.com/v1", "HTTP_PROXY"),
    ],
)
def test_the_variable_that_applies_is_known(monkeypatch, environ, url, variable):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert named_proxy(url) == NamedProxy(text=PROXY, variable=variable)
    assert str(proxy_of(url)).rstrip("/") == PROXY
    check_proxy(url)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_PROXY": PROXY},
        {"HTTPS_PROXY": ""},
        {"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example.com"},
        {"HTTPS_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "api.example.com:443"},
        {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"},
    ],
)
def test_without_one_nothing_is_checked(monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert named_proxy(URL) is None
    assert proxy_of(URL) is None
    check_proxy(URL)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS5", "ftp"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_a_proxy_of_another_kind_is_refused_with_its_variable_and_without_its_password(
    monkeypatch, scheme, variable
):
    monkeypatch.setenv(variable, f"{scheme}://user:hush@127.0.0.1:9")
    for check in (check_proxy, proxy_of):
        with pytest.raises(ConfigError) as caught:
            check(URL)
        said = f"{words(caught.value.message)} {words(caught.value.hint)}"
        assert f"{variable} names a {scheme.lower()}:// proxy" in said
        assert "only http:// and https://" in said
        assert "api.example.com in NO_PROXY" in said
        assert "hush" not in said


@pytest.mark.parametrize("text", ["http://", "http://[::1", "http://host:port", "://x", "so cks://x"])
def test_what_is_no_url_is_refused(monkeypatch, text):
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(ConfigError, match="HTTPS_PROXY names no proxy's URL"):
        check_proxy(URL)


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "proxy", "HTTPS://proxy:3128", "http://u:p@proxy"])
def test_an_http_proxy_may_be_named_without_its_scheme(monkeypatch, text):
    monkeypatch.setenv("HTTPS_PROXY", text)
    check_proxy(URL)
    assert proxy_of(URL) is not None


def test_the_system_may_name_a_proxy_without_a_variable():
    assert proxy_variable("https") == "the system's proxy setting"
