"""The provider in virtual time: validation, limits, faults and answers, without a network."""

import json
from typing import Any

import pytest

from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule
from batcher.simulate import SimulatedProvider
from batcher.simulate.faults import Manner
from batcher.simulate.provider import Arrival, Plan, Provider

CHAT = "/v1/chat/completions"


def chat(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def arrive(
    provider: Provider,
    body: dict[str, Any] | bytes,
    *,
    at: float = 0.0,
    method: str = "POST",
    path: str = CHAT,
    key: str | None = None,
) -> Plan:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return provider.receive(Arrival(at=at, method=method, path=path, key=key, body=raw))


def error(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.body)["error"]
    assert found.keys() == {"message", "type", "param", "code"}
    return found


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("POST", "/v1/nothing", 404, "Invalid URL"),
        ("POST", "/chat/completions", 404, "Invalid URL"),
        ("GET", CHAT, 405, "POST"),
        ("POST", "/v1/models", 405, "GET"),
        ("DELETE", "/v1/models/m", 405, "GET"),
    ],
)
def test_a_wrong_path_or_method_is_reported_in_openais_format(
    method: str, path: str, status: int, word: str
) -> None:
    plan = arrive(Provider(SimulatedProvider()), chat(), method=method, path=path)
    assert plan.status == status
    assert word in error(plan)["message"]
    assert plan.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("key", "status"), [("sk-right-and-long", 200), ("sk-wrong-and-long", 401), ("short", 401), (None, 401)]
)
def test_only_the_right_key_is_let_in(key: str | None, status: int) -> None:
    plan = arrive(Provider(SimulatedProvider(api_key="sk-right-and-long")), chat(), key=key)
    assert plan.status == status
    if status == 401:
        assert error(plan)["code"] == "invalid_api_key"
        assert "sk-wrong-and-long" not in error(plan)["message"]


def test_only_the_named_models_are_served_where_some_are_named() -> None:
    provider = Provider(SimulatedProvider(models=("m",)))
    assert arrive(provider, chat()).status == 200
    plan = arrive(provider, chat() | {"model": "other"})
    assert (plan.status, error(plan)["code"]) == (404, "model_not_found")
    assert arrive(provider, b"", method="GET", path="/v1/models/other").status == 404
    assert [card["id"] for card in models(provider)] == ["m"]


def models(provider: Provider) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(arrive(provider, b"", method="GET", path="/v1/models").body)["data"]
    return listed


def test_without_named_models_every_name_is_served_and_the_limited_ones_are_listed() -> None:
    provider = Provider(SimulatedProvider(model_limits={"mine": Limits(rpm=60)}))
    assert "mine" in {card["id"] for card in models(provider)}
    plan = arrive(provider, b"", method="GET", path="/v1/models/org/any")
    assert json.loads(plan.body)["id"] == "org/any"


def test_a_refusal_says_what_openai_says() -> None:
    provider = Provider(SimulatedProvider(rpm=50, burst=1.2))
    assert arrive(provider, chat("a")).status == 200
    plan = arrive(provider, chat("b"))
    assert plan.status == 429
    assert error(plan) == {
        "message": "Rate limit reached for m in organization org-simulated on requests per min (RPM): "
        "Limit 50, Used 50, Requested 1. Please try again in 1.2s.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert (plan.headers["retry-after"], plan.headers["retry-after-ms"]) == ("2", "1200")
    assert plan.headers["x-ratelimit-limit-requests"] == "50"
    assert (plan.delay, plan.charged) == (0, None)


def test_a_request_that_never_fits_is_rejected_without_a_time() -> None:
    plan = arrive(Provider(SimulatedProvider(tpm=100)), chat(max_tokens=500))
    assert error(plan)["message"].startswith("Request too large for m")
    assert "Used" not in error(plan)["message"]
    assert "retry-after" not in plan.headers


def test_without_headers_and_retry_after_a_reply_reveals_no_limit() -> None:
    provider = Provider(SimulatedProvider(rpm=60, headers=False, retry_after=False))
    arrive(provider, chat("a"))
    plan = arrive(provider, chat("b"))
    assert plan.status == 429
    assert plan.headers.keys() == {"x-request-id"}
    assert "try again" not in error(plan)["message"]


def test_limits_of_two_models_are_apart() -> None:
    provider = Provider(SimulatedProvider(rpm=60, model_limits={"wide": Limits(rpm=600)}))
    narrow = [arrive(provider, chat(str(n))).status for n in range(3)]
    wide = [arrive(provider, chat(str(n)) | {"model": "wide"}).status for n in range(3)]
    assert (narrow, wide) == ([200, 429, 429], [200, 200, 200])


def test_arrival_decides_and_not_when_the_body_was_read() -> None:
    provider = Provider(SimulatedProvider(rpm=60))
    assert arrive(provider, chat("a"), at=5.0).status == 200
    assert arrive(provider, chat("b"), at=5.9).status == 429
    assert arrive(provider, chat("b"), at=6.0).status == 200


def test_output_is_charged_when_it_is_produced() -> None:
    settings = SimulatedProvider(tpm=6000, charge=ChargeRule.PRODUCED, output_tokens=300)
    provider = Provider(settings)
    plan = arrive(provider, chat("a"))
    assert plan.charged == 8
    assert arrive(provider, chat("b")).status == 200
    provider.produced(0.0, plan)
    assert arrive(provider, chat("c"), at=0.1).status == 429


def test_a_refused_sending_does_not_count_as_seen_by_a_direction() -> None:
    provider = Provider(SimulatedProvider(rpm=60))
    row = chat(metadata={"simulate": {"fail_times": 1}})
    found = [arrive(provider, row, at=at).status for at in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert found == [500, 429, 200, 429, 200]


def test_directions_become_plans() -> None:
    provider = Provider(SimulatedProvider(latency=0))
    page = arrive(provider, chat(metadata={"simulate": {"html": 502, "hang": 3}}))
    assert (page.status, page.content_type, page.delay) == (502, "text/html", 3)
    assert b"<html>" in page.body
    assert arrive(provider, chat(metadata={"simulate": {"cut": True}})).manner is Manner.CUT
    wrong = arrive(provider, chat(metadata={"simulate": {"cat": True}}))
    assert (wrong.status, error(wrong)["param"]) == (400, "metadata.simulate")


def test_a_row_with_directions_is_spared_the_drawn_failures() -> None:
    provider = Provider(SimulatedProvider(fail=1.0))
    assert arrive(provider, chat(metadata={"simulate": {"fail_times": 0}})).status == 200
    assert arrive(provider, chat()).status >= 500


def test_two_runs_with_the_same_seed_are_the_same_whatever_the_order() -> None:
    def run(order: list[int]) -> dict[int, tuple[int, float]]:
        provider = Provider(SimulatedProvider(fail=0.3, seed=7))
        plans = {number: arrive(provider, chat(str(number))) for number in order}
        return {number: (plan.status, plan.delay) for number, plan in plans.items()}

    forward = run(list(range(60)))
    assert forward == run(list(reversed(range(60))))
    assert {status for status, _ in forward.values()} > {200}


def test_latencies_have_the_median_that_was_set() -> None:
    provider = Provider(SimulatedProvider(latency=0.2, latency_sigma=0.5))
    delays = sorted(arrive(provider, chat(str(n))).delay for n in range(500))
    assert delays[250] == pytest.approx(0.2, rel=0.15)
    assert delays[0] < 0.1
    assert delays[-1] > 0.4


def test_a_latency_without_spread_is_always_the_median() -> None:
    provider = Provider(SimulatedProvider(latency=0.2, latency_sigma=0))
    assert {arrive(provider, chat(str(n))).delay for n in range(5)} == {0.2}


def test_request_ids_differ_for_every_sending() -> None:
    provider = Provider(SimulatedProvider())
    assert len({arrive(provider, chat()).headers["x-request-id"] for _ in range(5)}) == 5


def test_a_schema_that_is_none_is_a_400() -> None:
    layout = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}}
    plan = arrive(Provider(SimulatedProvider()), chat(response_format=layout))
    assert (plan.status, error(plan)["code"]) == (400, "invalid_schema")
