"""What the providers' finish reasons mean (docs/providers.md#answers): one table over all of them.

A reason that is not in the table says nothing bad: what the reply holds is delivered.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class Ending(Enum):
    """How a generation ended, if not normally."""

    #: At a token limit: the same request would be cut again.
    CUT = auto()
    #: By a content filter, which would withhold the same request again.
    FILTERED = auto()
    #: By the server, in the middle: another attempt may succeed.
    INTERRUPTED = auto()


#: In lower case.
_ENDINGS: Final[Mapping[str, Ending]] = {
    # OpenAI; Anthropic; Gemini's MAX_TOKENS; Mistral; Cohere; Hugging Face.
    "length": Ending.CUT,
    "max_tokens": Ending.CUT,
    "max_output_tokens": Ending.CUT,
    "model_length": Ending.CUT,
    "model_context_window_exceeded": Ending.CUT,
    "max_length": Ending.CUT,
    "error_limit": Ending.CUT,
    # OpenAI and Azure; Gemini and Vertex; GLM; Bedrock; Cohere.
    "content_filter": Ending.FILTERED,
    "content_filtered": Ending.FILTERED,
    "safety": Ending.FILTERED,
    "recitation": Ending.FILTERED,
    "blocklist": Ending.FILTERED,
    "prohibited_content": Ending.FILTERED,
    "spii": Ending.FILTERED,
    "language": Ending.FILTERED,
    "image_safety": Ending.FILTERED,
    "image_prohibited_content": Ending.FILTERED,
    "image_recitation": Ending.FILTERED,
    "model_armor": Ending.FILTERED,
    "sensitive": Ending.FILTERED,
    "guardrail_intervened": Ending.FILTERED,
    "error_toxic": Ending.FILTERED,
    # OpenRouter; relays of Bedrock; vLLM and SGLang; DeepSeek; GLM; Gemini.
    "error": Ending.INTERRUPTED,
    "error_finish": Ending.INTERRUPTED,
    "abort": Ending.INTERRUPTED,
    "aborted": Ending.INTERRUPTED,
    "cancelled": Ending.INTERRUPTED,
    "overloaded": Ending.INTERRUPTED,
    "insufficient_system_resource": Ending.INTERRUPTED,
    "network_error": Ending.INTERRUPTED,
    "timeout": Ending.INTERRUPTED,
    "malformed_function_call": Ending.INTERRUPTED,
}


def ending_of(reason: object) -> Ending | None:
    """Return how the generation ended; None if normally, or for a reason that says nothing bad.

    Gemini's OpenAI-compatible endpoint writes `content_filter: RECITATION`: either part may be in the table.
    """
    if not isinstance(reason, str):
        return None
    words = reason.lower()
    if words in _ENDINGS or ":" not in words:
        return _ENDINGS.get(words)
    return next((ending for word in words.split(":") if (ending := _ENDINGS.get(word.strip())) is not None), None)
