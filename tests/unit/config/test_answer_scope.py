"""Which headers choose whose answers may be shared."""

import json

import pytest

from batcher.config.answer_scope import answer_scope
from batcher.domain.settings import JobSettings


def scope(**values):
    """The scope with these headers; `_` in a name is `-`."""
    headers = {name.replace("_", "-"): f"V_{name}" for name in values}
    environ = {f"V_{name}": value for name, value in values.items() if value is not None}
    return answer_scope(JobSettings(base_url="https://h/v1", headers=headers), environ)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "OpenAI_Organization",
            "OpenAI_Project",
            "x_portkey_config",
            "x_portkey_provider",
            "x_portkey_virtual_key",
        ),
        *("Helicone_Target_Url", "x_tenant", "X_Region", "x_unheard_of", "x_litellm_tags", "anthropic_workspace"),
    ],
)
def test_a_choosing_header_separates_answers_by_its_value(name):
    assert scope(**{name: "a"}) != scope(**{name: "b"})
    assert scope(**{name: "a"}) == scope(**{name.upper(): "a"}) == scope(**{name.lower(): "a"})
    assert scope(**{name: "a"}) not in {"", scope()}
    assert scope(**{name: None}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "0123456789abcdef"),
        ("x_goog_api_key", "AIzaSyA-1234567890"),
        ("Helicone_Auth", "Bearer sk-helicone-abc1234"),
        ("X_Gateway", "Bearer gateway-token-77"),
        ("Cookie", "session=abc123def456"),
        ("api_key", "x"),
        ("X_Title", "nightly"),
        ("Helicone_Cache_Enabled", "true"),
        ("traceparent", "00-abc"),
        ("X_Request_Id", "5"),
        ("anthropic_version", "2023-06-01"),
    ],
)
def test_keys_and_inert_headers_separate_nothing(name, value):
    assert scope(**{name: value}) == "" == scope()
    assert scope(**{name: value, "x_tenant": "a"}) == scope(x_tenant="a")


def test_the_keys_in_a_gateways_configuration_may_change():
    def configured(key, provider):
        return scope(x_portkey_config=json.dumps({"targets": [{"provider": provider, "api_key": key}]}))

    assert configured("sk-abc12345678", "openai") == configured("sk-def12345678", "openai")
    assert configured("sk-abc12345678", "openai") != configured("sk-abc12345678", "azure")


def test_a_simulated_job_sends_no_headers():
    settings = JobSettings(base_url="http://simulated.localhost/v1", headers={"x-tenant": "T"}, simulate=True)
    assert answer_scope(settings, {"T": "a"}) == ""
