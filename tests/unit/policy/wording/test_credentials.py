"""Which headers are secrets: those that carry a credential, by name and by value."""

import json

import pytest

from batcher.policy.wording.credentials import header_credentials, names_credential


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Helicone-Cache-Enabled", "true"),
        ("X-Auth-Enabled", "true"),
        ("X-Auth-Mode", "disabled"),
        ("X-Token-Policy", "high-priority"),
        ("x-api-key", "x"),
        ("x-api-key", "none"),
        ("Api-Key", "Password"),
        ("X-Key", "2023-06-01"),
        ("X-Author", "jane.doe.the.second"),
        ("x-max-tokens", "100000000"),
        ("OpenAI-Organization", "org-AbCdEf1234567890"),
        ("OpenAI-Project", "proj_AbCdEf1234567890"),
        ("x-portkey-config", "pc-route-a1b2c3d4"),
        ("X-Title", "Nightly run 20240501"),
        ("Idempotency-Key", "5f2d8c1e9b7a4c3d"),
        ("anthropic-version", "2023-06-01"),
    ],
)
def test_an_ordinary_header_is_no_secret(name, value):
    for spelled in (name, name.lower(), name.upper()):
        assert header_credentials(spelled, value) == []


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("api-key", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("Api-Key", "ab12", "ab12"),
        ("x-goog-api-key", "AIzaSyA-1234567890", "AIzaSyA-1234567890"),
        ("Helicone-Auth", "Bearer sk-helicone-abc1234", "sk-helicone-abc1234"),
        ("cf-aig-authorization", "Bearer qwertzuiopasdfgh", "qwertzuiopasdfgh"),
        ("X-Gateway", "Bearer gateway-token-77", "gateway-token-77"),
        ("X-Gateway", "Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("CF-Access-Client-Secret", "0f0f0f0f0f0f0f0f", "0f0f0f0f0f0f0f0f"),
        ("Ocp-Apim-Subscription-Key", "0123456789abcdef", "0123456789abcdef"),
        ("X-AuthToken", "a1b2c3d4e5", "a1b2c3d4e5"),
        ("Cookie", "theme=dark; session=abc123def456", "abc123def456"),
        ("X-Custom", "sk-live-abcdefgh12345678", "sk-live-abcdefgh12345678"),
        ("x-portkey-virtual-key", "openai-prod-a1b2c3", "openai-prod-a1b2c3"),
        ("x-portkey-config", json.dumps({"targets": [{"api_key": "sk-abc12345678"}]}), "sk-abc12345678"),
    ],
)
def test_a_header_with_a_credential_is_one_in_any_case(name, value, secret):
    for spelled in (name, name.lower(), name.upper()):
        assert secret in header_credentials(spelled, value)


def test_the_words_of_a_cookie_are_no_secrets():
    assert not {"dark", "1", "theme=dark", "a=1"} & set(header_credentials("Cookie", "theme=dark; a=1"))


def test_the_name_of_a_gateway_names_no_key():
    assert not names_credential("x-portkey-trace-id")
    assert not names_credential("--")
    assert header_credentials("x-config", "[" * 100_000) == []
    assert header_credentials("x-config", "{no json") == []
