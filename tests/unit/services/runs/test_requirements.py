"""What is missing is said before anything is sent; the simulated provider needs nothing."""

import pytest

from batcher.domain.errors import ConfigError
from batcher.domain.settings import JobSettings
from batcher.services.runs.requirements import check_can_send, proxy_to_this_machine

PROXY = "http://10.0.0.1:8080"
FAR, NEAR = "https://api.example.com/v1", "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def job(base_url: str = FAR, *, simulate: bool = False, headers: dict[str, str] | None = None) -> JobSettings:
    return JobSettings(base_url=base_url, simulate=simulate, api_key_env="K", headers=headers or {})


@pytest.mark.parametrize(
    ("settings", "environ", "proxy", "missing"),
    [
        (job(), {"K": "sk-123456789"}, "", None),
        (job(), {}, "", "K"),
        (job(headers={"X-Org": "ORG"}), {"K": "sk-123456789"}, "", "ORG"),
        (job(), {"K": "sk-123456789"}, "socks5://10.0.0.1:1", "HTTPS_PROXY"),
        (job(simulate=True), {}, "socks5://10.0.0.1:1", None),
    ],
)
def test_a_key_the_headers_and_a_proxy_that_works_are_needed(monkeypatch, settings, environ, proxy, missing):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    if missing is None:
        check_can_send(settings, environ)
        return
    with pytest.raises(ConfigError, match=missing):
        check_can_send(settings, environ)


@pytest.mark.parametrize(
    ("settings", "found"),
    [(job(NEAR), ("127.0.0.1", "HTTP_PROXY")), (job(FAR), None), (job(NEAR, simulate=True), None)],
)
def test_a_proxy_before_a_server_of_this_machine_is_noticed(monkeypatch, settings, found):
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_to_this_machine(settings) == found
