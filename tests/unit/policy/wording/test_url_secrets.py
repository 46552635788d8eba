"""What of a base URL is shown, and what of it is redacted from replies."""

import pytest

from batcher.policy.wording.url_secrets import mask_urls, shown_base_url, url_credentials


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://x.openai.azure.com/openai/deployments/gpt-4o-mini-2024-07-18?api-version=2024-10-21",
        "https://r-aiplatform.googleapis.com/v1beta1/projects/my-project-123456/locations/us-central1/endpoints/openapi",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://open.bigmodel.cn/api/paas/v4",
        "http://127.0.0.1:8000/meta-llama/Llama-3.1-8B-Instruct-Turbo/v1",
        "http://[::1]:8000/v1",
        "not a url",
    ],
)
def test_an_ordinary_base_url_is_shown_whole(url):
    assert shown_base_url(url) == url
    assert url_credentials(url) == []
    assert mask_urls(f"{url} answered nothing") == f"{url} answered nothing"


@pytest.mark.parametrize(
    ("url", "shown", "redacted"),
    [
        ("https://f.net/api?code=abcDEF123%3D%3D", "https://f.net/api?code=…", ["abcDEF123%3D%3D", "abcDEF123=="]),
        ("https://f.net/api?tier=standard", "https://f.net/api?tier=…", []),
        ("https://f.net/tok_5f2d8c1e9b7a4c3d/v1", "https://f.net/…/v1", ["tok_5f2d8c1e9b7a4c3d"]),
        ("https://f.net/a1b2c3d4e5f6a7b8/v1", "https://f.net/…/v1", ["a1b2c3d4e5f6a7b8"]),
        ("https://f.net/token/abc12345/v1", "https://f.net/token/…/v1", []),
        ("https://f.net/sk-some-secret-words/v1", "https://f.net/…/v1", ["sk-some-secret-words"]),
        ("https://user:pw@f.net/v1", "https://…@f.net/v1", []),
        ("https://f.net?x", "https://f.net?…", []),
    ],
)
def test_what_may_be_a_secret_is_masked(url, shown, redacted):
    assert shown_base_url(url) == shown
    assert url_credentials(url) == redacted
    assert mask_urls(f"URL('{url}'), {url}") == f"URL('{shown}'), {shown}"
