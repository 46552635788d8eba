from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.outcomes import Usage
from batcher.policy.usage import sent_tier, usage_of

Usages = dict[str, Any]

PLAIN: Usages = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
CHAT: Usages = {"choices": [{"message": {"content": "Hello"}}]}
MESSAGE: Usages = {"type": "message", "content": [{"type": "text", "text": "Hello"}]}


def chat(**usage: object) -> Usages:
    return {**CHAT, "usage": {**PLAIN, **usage}}


def counted(sent: int | None = 19, made: int | None = 10, **more: Any) -> Usage:
    return Usage(input_tokens=sent, output_tokens=made, **more)


OPENAI_PARTS: Usages = {
    "prompt_tokens_details": {"cached_tokens": 12, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0, "rejected_prediction_tokens": 0},
}
RESPONSES: Usages = {
    "input_tokens": 19,
    "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 3},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 29,
}
ANTHROPIC: Usages = {
    "input_tokens": 4,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 12,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 10,
    "service_tier": "standard",
}
GEMINI: Usages = {
    "promptTokenCount": 19,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 29,
}
CONVERSE: Usages = {"inputTokens": 4, "outputTokens": 10, "totalTokens": 14}
CACHED: Usages = {"cached_input_tokens": 12}
PARTS: Usages = {"cached_input_tokens": 12, "reasoning_tokens": 4}
WRITTEN: Usages = {"cached_input_tokens": 12, "cache_write_tokens": 3}

#: By the facts in docs/providers.md#usage-objects.
FORMS: dict[str, tuple[Usages, Usage]] = {
    "OpenAI, older, vLLM, llama.cpp, TGI, Together": (chat(), counted()),
    "OpenAI, chat": ({**chat(**OPENAI_PARTS), "service_tier": "default"}, counted(**PARTS, tier_billed="default")),
    "OpenAI, cache writes": (
        chat(prompt_tokens_details={"cached_tokens": 12, "cache_write_tokens": 3}),
        counted(**WRITTEN),
    ),
    "OpenAI, details of nothing": (
        chat(prompt_tokens_details={}, completion_tokens_details=None),
        counted(),
    ),
    "OpenAI, Responses": (
        {"output": [], "usage": RESPONSES, "service_tier": "flex"},
        counted(**WRITTEN, reasoning_tokens=4, tier_billed="flex"),
    ),
    "OpenAI, images": (
        {
            "data": [],
            "usage": {"input_tokens": 19, "output_tokens": 10, "input_tokens_details": {"image_tokens": 9}},
        },
        counted(),
    ),
    "OpenAI, embeddings": ({"data": [], "usage": {"prompt_tokens": 19, "total_tokens": 19}}, counted(made=None)),
    "OpenAI, moderations": ({"results": []}, Usage()),
    "Azure, chat": (
        {**chat(**OPENAI_PARTS), "prompt_filter_results": [], "service_tier": "priority"},
        counted(**PARTS, tier_billed="priority"),
    ),
    "Anthropic, without a cache": (
        {**MESSAGE, "usage": {"input_tokens": 19, "output_tokens": 10}},
        counted(),
    ),
    "Anthropic, cached": ({**MESSAGE, "usage": ANTHROPIC}, counted(**WRITTEN, tier_billed="standard")),
    "Anthropic, thinking": (
        {**MESSAGE, "usage": {**ANTHROPIC, "output_tokens_details": {"thinking_tokens": 4}}},
        counted(**WRITTEN, reasoning_tokens=4, tier_billed="standard"),
    ),
    "Anthropic, nothing cached": (
        {**MESSAGE, "usage": {**ANTHROPIC, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}},
        counted(4, cached_input_tokens=0, cache_write_tokens=0, tier_billed="standard"),
    ),
    "Anthropic, nulls": (
        {**MESSAGE, "usage": {"input_tokens": 19, "cache_read_input_tokens": None, "output_tokens": 10}},
        counted(),
    ),
    "Gemini": ({"candidates": [], "usageMetadata": GEMINI}, counted(reasoning_tokens=4)),
    "Gemini, cached": (
        {"candidates": [], "usageMetadata": {**GEMINI, "cachedContentTokenCount": 12, "thoughtsTokenCount": None}},
        counted(made=6, **CACHED),
    ),
    "Gemini, tools": (
        {"usageMetadata": {"promptTokenCount": 12, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 10}},
        counted(),
    ),
    "Gemini, thoughts without an answer": (
        {"usageMetadata": {"promptTokenCount": 19, "thoughtsTokenCount": 10, "totalTokenCount": 29}},
        counted(reasoning_tokens=10),
    ),
    "Gemini, a blocked prompt": ({"usageMetadata": {"promptTokenCount": 19}}, counted(made=None)),
    "Vertex, flex": (
        {"usageMetadata": {"promptTokenCount": 19, "candidatesTokenCount": 10, "trafficType": "ON_DEMAND_FLEX"}},
        counted(tier_billed="ON_DEMAND_FLEX"),
    ),
    "Gemini, OpenAI-compatible, thoughts in the total alone": (
        chat(completion_tokens=6),
        counted(reasoning_tokens=4),
    ),
    "Bedrock, Converse": (
        {
            "output": {},
            "usage": {**CONVERSE, "cacheReadInputTokens": 12, "cacheWriteInputTokens": 3},
            "serviceTier": {"type": "flex"},
        },
        counted(**WRITTEN, tier_billed="flex"),
    ),
    "Bedrock, Converse, without a cache": ({"usage": {**CONVERSE, "inputTokens": 19}}, counted()),
    "Bedrock, Nova": (
        {"usage": {**CONVERSE, "cacheReadInputTokenCount": 12, "cacheWriteInputTokenCount": 3}},
        counted(**WRITTEN),
    ),
    "Bedrock, Anthropic": ({**MESSAGE, "usage": ANTHROPIC}, counted(**WRITTEN, tier_billed="standard")),
    "Bedrock, Llama": (
        {"generation": "Hello", "prompt_token_count": 19, "generation_token_count": 10},
        counted(),
    ),
    "Bedrock, Titan embeddings": ({"embedding": [1.0], "inputTextTokenCount": 19}, counted(made=None)),
    "Mistral": (chat(prompt_audio_seconds=None, service_tier="standard"), counted(tier_billed="standard")),
    "Mistral, cached": (chat(prompt_tokens_details={"cached_tokens": 12}), counted(**CACHED)),
    "DeepSeek": (
        chat(
            prompt_cache_hit_tokens=12,
            prompt_cache_miss_tokens=7,
            completion_tokens_details={"reasoning_tokens": 4},
        ),
        counted(**PARTS),
    ),
    "Groq": (
        {**chat(**OPENAI_PARTS, queue_time=0.1, total_time=0.2), "service_tier": "on_demand"},
        counted(**PARTS, tier_billed="on_demand"),
    ),
    "xAI, chat: the output leaves reasoning out": (
        chat(
            completion_tokens=6,
            completion_tokens_details={"reasoning_tokens": 4},
            num_sources_used=0,
            cost_in_usd_ticks=37_756_000,
        ),
        counted(reasoning_tokens=4, cost_usd=pytest.approx(0.0037756)),
    ),
    "xAI, chat: the output has reasoning in it": (
        chat(completion_tokens_details={"reasoning_tokens": 4}),
        counted(reasoning_tokens=4),
    ),
    "xAI, Responses": (
        {"output": [], "usage": {**RESPONSES, "cost_in_usd_ticks": 200_000_000}},
        counted(**WRITTEN, reasoning_tokens=4, cost_usd=pytest.approx(0.02)),
    ),
    "OpenRouter": (
        chat(**OPENAI_PARTS, cost=0.95, cost_details={"upstream_inference_cost": 0.9}, is_byok=False),
        counted(**PARTS, cost_usd=0.95),
    ),
    "OpenRouter, free": (chat(cost=0), counted(cost_usd=0.0)),
    "OpenRouter, a key of one's own": (
        chat(cost=0.25, cost_details={"upstream_inference_cost": 4.5}, is_byok=True),
        counted(cost_usd=4.75),
    ),
    "Perplexity": (
        chat(num_search_queries=1, cost={"input_tokens_cost": 0.1, "total_cost": 0.006}),
        counted(cost_usd=0.006),
    ),
    "DeepInfra": (chat(estimated_cost=0.00012), counted(cost_usd=0.00012)),
    "DeepInfra, its own API": (
        {"results": [], "inference_status": {"tokens_input": 19, "tokens_generated": 10, "cost": 0.5}},
        counted(cost_usd=0.5),
    ),
    "Fireworks, Cerebras, Zhipu, MiniMax": (chat(prompt_tokens_details={"cached_tokens": 12}), counted(**CACHED)),
    "Moonshot": (chat(cached_tokens=12), counted(**CACHED)),
    "Alibaba": (
        chat(prompt_tokens_details={"cached_tokens": 12, "cache_creation_input_tokens": 3}),
        counted(**WRITTEN),
    ),
    "Databricks": (chat(cache_read_input_tokens=12, reasoning_tokens=4), counted(**PARTS)),
    "LiteLLM": (
        chat(
            prompt_tokens_details={"cached_tokens": 12},
            cache_read_input_tokens=12,
            cache_creation_input_tokens=3,
            total_tokens=32,
        ),
        counted(**WRITTEN),
    ),
    "Cloudflare, its own API": ({"success": True, "result": {"response": "", "usage": PLAIN}}, counted()),
    "Cohere, chat": (
        {
            "message": {},
            "usage": {
                "billed_units": {"input_tokens": 19.0, "output_tokens": 10},
                "tokens": {"input_tokens": 75, "output_tokens": 10},
                "cached_tokens": 12,
            },
        },
        counted(**CACHED),
    ),
    "Cohere, the older chat": (
        {"text": "", "meta": {"tokens": {"input_tokens": 19, "output_tokens": 10}}},
        counted(),
    ),
    "Cohere, embeddings": (
        {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 19, "images": 0}}},
        counted(made=None),
    ),
    "Cohere, rerank": ({"results": [], "meta": {"billed_units": {"search_units": 1}}}, Usage()),
    "Voyage and Jina, embeddings and rerank": ({"data": [], "usage": {"total_tokens": 19}}, counted(made=None)),
    "vLLM, rerank": (
        {"results": [], "usage": {"prompt_tokens": 19, "total_tokens": 19}},
        counted(made=None),
    ),
    "vLLM, nulls": (
        chat(completion_tokens=None, prompt_tokens_details=None),
        counted(made=None),
    ),
    "llama.cpp, its own API": (
        {"content": "Hello", "tokens_evaluated": 19, "tokens_predicted": 10, "tokens_cached": 28},
        counted(),
    ),
    "TGI, its own API": (
        {"generated_text": "Hello", "details": {"generated_tokens": 10, "finish_reason": "length"}},
        counted(None),
    ),
    "Ollama, its own API": ({"response": "Hello", "prompt_eval_count": 19, "eval_count": 10}, counted()),
    "a total alone of a generation says too little": ({**CHAT, "usage": {"total_tokens": 29}}, Usage()),
    "no usage": (CHAT, Usage()),
    "a usage that is no object": ({**CHAT, "usage": [19, 10]}, Usage()),
    "details that are no object": (chat(prompt_tokens_details=[12], completion_tokens_details="4"), counted()),
    "counts that gateways write otherwise": (
        chat(prompt_tokens="19", completion_tokens=9.4, prompt_tokens_details={"cached_tokens": 12.0}, cost=0.5),
        counted(**CACHED, cost_usd=0.5),
    ),
    "what is no count": (
        chat(prompt_tokens=-1, completion_tokens=True, prompt_tokens_details={"cached_tokens": 2**60}),
        Usage(),
    ),
    "a cost that is none": (chat(cost="0.5"), counted()),
    "a tier that is none": ({**chat(), "service_tier": "x" * 41}, counted()),
}


@pytest.mark.parametrize(("document", "expected"), FORMS.values(), ids=FORMS)
def test_the_usage_of_every_provider_gets_one_meaning(document: dict[str, object], expected: Usage) -> None:
    assert usage_of(document) == expected


SENT = {
    "none": (b'{"model": "m", "messages": []}', "/chat/completions", None),
    "OpenAI, Anthropic, Groq": (b'{"messages": [], "service_tier": "flex"}', "/chat/completions", "flex"),
    "in the prompt": (b'{"messages": [{"content": "\\"service_tier\\": \\"flex\\""}]}', "/chat/completions", None),
    "within": (b'{"metadata": {"service_tier": "flex"}}', "/chat/completions", None),
    "null": (b'{"service_tier": null}', "/responses", None),
    "Bedrock": (b'{"messages": [], "serviceTier": {"type": "flex"}}', "/model/m/converse", "flex"),
    "Gemini": (b'{"contents": [], "serviceTier": "flex"}', "/models/m:generateContent", "flex"),
    "no JSON": (b'{"service_tier"', "/chat/completions", None),
}


@pytest.mark.parametrize(("body", "path", "expected"), SENT.values(), ids=SENT)
def test_the_tier_that_a_body_asks_for_is_read(body: bytes, path: str, expected: str | None) -> None:
    assert sent_tier(body, path) == expected


OBJECTS = [document for document, _ in FORMS.values()]
OBJECTS += [each for document in OBJECTS for each in document.values() if isinstance(each, dict)]
NAMES = sorted({name for each in OBJECTS for name in each})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_whatever_stands_in_a_usage_is_a_count_or_nothing(usage: dict[str, object]) -> None:
    for found in (usage_of({"usage": usage}), usage_of(usage)):
        parts = [found.input_tokens, found.cached_input_tokens, found.cache_write_tokens]
        parts += [found.output_tokens, found.reasoning_tokens]
        assert all(each is None or (type(each) is int and each >= 0) for each in parts)
