"""From a 200's document to its outcome: an answer to deliver, or why it is none."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from batcher.domain.outcomes import Failure, Outcome, Success, Usage
from batcher.domain.states import FailureKind
from batcher.policy.answers import Document, Finding, judge_answer

#: An answer without content is asked for once more (a model that was starting), not six times: it is billed.
_ONCE_MORE: Final = 2
_NO_USAGE: Final = Usage()


class _Flaw(Struct, frozen=True):
    kind: FailureKind
    code: str
    message: str
    most_attempts: int | None = None


_FLAWS: Final[Mapping[Finding, _Flaw]] = {
    Finding.FILTERED: _Flaw(
        FailureKind.PERMANENT, "content_filter", "the provider's content filter withheld the answer"
    ),
    Finding.FAILED: _Flaw(FailureKind.TRANSIENT, "generation_failed", "the provider says that generating failed"),
    Finding.UNFINISHED: _Flaw(
        FailureKind.TRANSIENT, "not_finished", "the provider sent an answer that is not finished"
    ),
    Finding.NO_CHOICES: _Flaw(FailureKind.TRANSIENT, "no_choices", "the reply has no choices", _ONCE_MORE),
    Finding.EMPTY: _Flaw(FailureKind.TRANSIENT, "empty_answer", "the reply has no content", _ONCE_MORE),
}


def read_answer(document: Document, path: str) -> Outcome:
    """The outcome of a 2xx whose body is a JSON object without an error. What was billed is kept either way."""
    finding = judge_answer(document, path)
    usage = usage_of(document)
    if finding is Finding.WHOLE:
        return Success(usage=usage)
    if finding is Finding.CUT:
        return Success(usage=usage, truncated=True)
    flaw = _FLAWS[finding]
    return Failure(
        kind=flaw.kind, code=flaw.code, message=flaw.message, usage=usage, most_attempts=flaw.most_attempts
    )


def usage_of(document: Document) -> Usage:
    """Tokens as the provider counted them: `usage` of OpenAI and Anthropic, `usageMetadata` of Gemini."""
    usage = document.get("usage")
    if isinstance(usage, dict):
        return Usage(
            input_tokens=_count(usage, "prompt_tokens", "input_tokens"),
            output_tokens=_count(usage, "completion_tokens", "output_tokens"),
        )
    metadata = document.get("usageMetadata")
    if isinstance(metadata, dict):
        return Usage(
            input_tokens=_count(metadata, "promptTokenCount", ""),
            output_tokens=_count(metadata, "candidatesTokenCount", ""),
        )
    return _NO_USAGE


def _count(usage: Mapping[str, object], name: str, other_name: str) -> int | None:
    value = usage.get(name)
    if value is None:
        value = usage.get(other_name)
    return value if type(value) is int and 0 <= value < 2**53 else None
