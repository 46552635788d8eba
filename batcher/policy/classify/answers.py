"""What kind of answer a 200 holds, by path (docs/providers.md#answers). On the path of every reply.

Providers add enum values: what is not known to be a failure, and holds something to deliver, is an answer.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final

import msgspec
from msgspec import Struct

from batcher.domain.outcomes import Failure, Outcome, Success
from batcher.domain.states import FailureKind
from batcher.policy.classify.finish_reasons import Ending, ending_of
from batcher.policy.usage import usage_of

Document = Mapping[str, object]


class AnswerKind(Enum):
    """The kind of an answer."""

    #: Something to deliver.
    COMPLETE = auto()
    #: Deliverable, but ended by a token limit.
    TRUNCATED = auto()
    #: The same, before the first word: all the tokens went into reasoning.
    TRUNCATED_EMPTY = auto()
    #: Withheld by a content filter, which would withhold the same request again.
    FILTERED = auto()
    #: The provider says that generating failed.
    FAILED = auto()
    #: Not finished, although no background processing was requested.
    UNFINISHED = auto()
    #: Well-formed, without choices.
    NO_CHOICES = auto()
    #: Well-formed, with nothing in it.
    EMPTY = auto()
    #: A vector without numbers: the model computed NaN.
    NULL_EMBEDDING = auto()
    #: Fewer vectors than the request has inputs.
    FEWER_EMBEDDINGS = auto()


#: Most answers are of this kind, and naming a member of an enum takes 0.2 µs (Python 3.11).
_COMPLETE: Final = AnswerKind.COMPLETE
#: What makes a chat message an answer. A refusal is one, as the API documents; tool calls have no content.
_MESSAGE_PARTS: Final = ("tool_calls", "refusal", "function_call", "audio", "images")
_UNUSABLE: Final[Mapping[Ending, AnswerKind]] = {
    Ending.FILTERED: AnswerKind.FILTERED,
    Ending.INTERRUPTED: AnswerKind.FAILED,
}
#: If none of several choices can be delivered, the first of these gives the reason.
_WORST_FIRST: Final = (AnswerKind.FILTERED, AnswerKind.FAILED, AnswerKind.EMPTY)


def _chat(document: Document) -> AnswerKind:
    return _choices(document, _chat_choice)


def _text(document: Document) -> AnswerKind:
    return _choices(document, _text_choice)


def _choices(document: Document, judge: Callable[[Document], AnswerKind]) -> AnswerKind:
    """Judge several choices: with n > 1 one deliverable choice makes an answer, truncated if any choice is."""
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        return AnswerKind.NO_CHOICES
    if len(choices) == 1:
        return judge(choices[0]) if isinstance(choices[0], dict) else AnswerKind.EMPTY
    findings = [judge(choice) for choice in choices if isinstance(choice, dict)]
    if AnswerKind.COMPLETE in findings or AnswerKind.TRUNCATED in findings:
        is_cut = not {AnswerKind.TRUNCATED, AnswerKind.TRUNCATED_EMPTY}.isdisjoint(findings)
        return AnswerKind.TRUNCATED if is_cut else AnswerKind.COMPLETE
    if AnswerKind.TRUNCATED_EMPTY in findings:
        return AnswerKind.TRUNCATED_EMPTY
    return next((finding for finding in _WORST_FIRST if finding in findings), AnswerKind.EMPTY)


def _chat_choice(choice: Document) -> AnswerKind:
    message = choice.get("message")
    parts = message if isinstance(message, dict) else {}
    holds = _holds_something(parts.get("content")) or any(parts.get(part) for part in _MESSAGE_PARTS)
    return _judged(choice.get("finish_reason"), holds=holds)


#: What a part says about its reasoning, which is no answer.
_OF_REASONING: Final = frozenset({"type", "thought", "thoughtSignature", "thinking", "signature"})


def _holds_something(content: object) -> bool:
    """Return whether a content is more than reasoning and empty text; it is a text or a list of parts."""
    return any(map(_is_to_deliver, content)) if isinstance(content, list) else bool(content)


def _is_to_deliver(part: object) -> bool:
    """Judge a part, of OpenAI's, Mistral's, Anthropic's or Gemini's form. What is not known is to be delivered."""
    if not isinstance(part, dict):
        return bool(part)
    if part.get("thought") is True or "thinking" in str(part.get("type")):
        return False
    return any(part[name] for name in part if name not in _OF_REASONING)


def _text_choice(choice: Document) -> AnswerKind:
    return _judged(choice.get("finish_reason"), holds=bool(choice.get("text")))


def _judged(reason: object, *, holds: bool) -> AnswerKind:
    """Judge by the finish reason, and by whether there is something to deliver."""
    ending = ending_of(reason)
    if ending is None:
        return _COMPLETE if holds else AnswerKind.EMPTY
    if ending is Ending.CUT:
        return AnswerKind.TRUNCATED if holds else AnswerKind.TRUNCATED_EMPTY
    return _UNUSABLE[ending]


def _embeddings(document: Document) -> AnswerKind:
    data = document.get("data")
    items = data if isinstance(data, list) else []
    vectors = [item.get("embedding") for item in items if isinstance(item, dict)]
    if not items or len(vectors) < len(items) or not all(vectors):
        return AnswerKind.EMPTY
    return AnswerKind.NULL_EMBEDDING if any(map(_begins_with_null, vectors)) else AnswerKind.COMPLETE


def _begins_with_null(vector: object) -> bool:
    """Return whether a vector, or the first of several, has no numbers: NaN spreads to all of them."""
    while isinstance(vector, list) and vector:
        vector = vector[0]
    return vector is None


def _has_all_vectors(document: Document, request: bytes) -> bool:
    """Return whether there are as many vectors as inputs, and every index once."""
    data = document.get("data")
    vectors = data if isinstance(data, list) else []
    indexes = [vector.get("index", place) for place, vector in enumerate(vectors)]
    try:
        inputs = _inputs(_decode_input(request).input)
    except msgspec.MsgspecError:
        return True
    return inputs is None or sorted(map(repr, indexes)) == sorted(map(repr, range(inputs)))


class _Input(Struct):
    input: Any = None


_decode_input: Final = msgspec.json.Decoder(_Input).decode


def _inputs(value: object) -> int | None:
    """Return the number of inputs: a text or its tokens is one, a list of either is as many; None if unknown."""
    if isinstance(value, str):
        return 1
    if not isinstance(value, list) or not value:
        return None
    return 1 if all(isinstance(item, int) for item in value) else len(value)


def _moderations(document: Document) -> AnswerKind:
    return AnswerKind.COMPLETE if document.get("results") else AnswerKind.EMPTY


def _responses(document: Document) -> AnswerKind:
    match document.get("status"):
        case "failed" | "cancelled":
            return AnswerKind.FAILED
        case "queued" | "in_progress":
            return AnswerKind.UNFINISHED
        case "incomplete":
            details = document.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            cut_or_worse = reason if ending_of(reason) else "max_output_tokens"
            return _judged(cut_or_worse, holds=_has_output(document))
        case _:
            return AnswerKind.COMPLETE if _has_output(document) else AnswerKind.EMPTY


def _has_output(document: Document) -> bool:
    output = document.get("output")
    return any(map(_says_something, output if isinstance(output, list) else []))


def _says_something(item: object) -> bool:
    """Return whether an item is more than reasoning: a tool call, or a message with a non-empty part."""
    if not isinstance(item, dict) or item.get("type") == "reasoning":
        return False
    if item.get("type") != "message":
        return True
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and (part.get("text") or part.get("refusal")) for part in parts)


def _messages(document: Document) -> AnswerKind:
    """Judge an answer of Anthropic's own API."""
    reason = document.get("stop_reason")
    if reason in {"refusal", "pause_turn"}:
        return AnswerKind.COMPLETE
    return _judged(reason, holds=_holds_something(document.get("content")))


def _gemini(document: Document) -> AnswerKind:
    """Judge an answer of Gemini's own API; without candidates the prompt itself was blocked."""
    candidates = document.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    if not isinstance(first, dict):
        feedback = document.get("promptFeedback")
        blocked = isinstance(feedback, dict) and feedback.get("blockReason")
        return AnswerKind.FILTERED if blocked else AnswerKind.NO_CHOICES
    content = first.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return _judged(first.get("finishReason"), holds=_holds_something(parts))


#: By the end of the path, the most frequent first. For any other path a JSON object is an answer.
_JUDGES: Final[tuple[tuple[str, Callable[[Document], AnswerKind]], ...]] = (
    ("/chat/completions", _chat),
    ("/completions", _text),
    ("/embeddings", _embeddings),
    ("/responses", _responses),
    ("/moderations", _moderations),
    ("/messages", _messages),
    (":generateContent", _gemini),
)


def judge_answer(document: Document, path: str) -> AnswerKind:
    """Return the kind of the answer. `document` is the parsed body, without a top-level error."""
    for suffix, judge in _JUDGES:
        if path.endswith(suffix):
            return judge(document)
    return AnswerKind.COMPLETE


def has_known_form(path: str) -> bool:
    """Return whether the form of an answer is known for this path."""
    return any(path.endswith(suffix) for suffix, _ in _JUDGES)


#: An empty answer is requested once more (the model may have been starting), not six times, as it is billed.
_ONCE_MORE: Final = 2


class _Flaw(Struct, frozen=True):
    kind: FailureKind
    code: str
    message: str
    most_attempts: int | None = None


_FLAWS: Final[Mapping[AnswerKind, _Flaw]] = {
    AnswerKind.FILTERED: _Flaw(
        FailureKind.PERMANENT, "content_filter", "the provider's content filter withheld the answer"
    ),
    AnswerKind.FAILED: _Flaw(
        FailureKind.TRANSIENT, "generation_failed", "the provider says that generating failed"
    ),
    AnswerKind.UNFINISHED: _Flaw(
        FailureKind.TRANSIENT, "not_finished", "the provider sent an answer that is not finished"
    ),
    AnswerKind.NO_CHOICES: _Flaw(FailureKind.TRANSIENT, "no_choices", "the reply has no choices", _ONCE_MORE),
    AnswerKind.EMPTY: _Flaw(FailureKind.TRANSIENT, "empty_answer", "the reply has no content", _ONCE_MORE),
    AnswerKind.NULL_EMBEDDING: _Flaw(
        FailureKind.TRANSIENT, "null_embedding", "the reply has a vector of nulls instead of numbers", _ONCE_MORE
    ),
    AnswerKind.FEWER_EMBEDDINGS: _Flaw(
        FailureKind.TRANSIENT, "fewer_embeddings", "the reply has not one vector for each input", _ONCE_MORE
    ),
}


def read_answer(document: Document, path: str, request: bytes) -> Outcome:
    """Return the outcome of a 2xx whose body is a JSON object without an error. Its usage is kept either way."""
    finding = judge_answer(document, path)
    usage = usage_of(document)
    if finding is _COMPLETE:
        if not path.endswith("/embeddings") or _has_all_vectors(document, request):
            return Success(usage=usage)
        finding = AnswerKind.FEWER_EMBEDDINGS
    if finding in {AnswerKind.TRUNCATED, AnswerKind.TRUNCATED_EMPTY}:
        return Success(usage=usage, truncated=True, empty=finding is AnswerKind.TRUNCATED_EMPTY)
    flaw = _FLAWS[finding]
    return Failure(
        kind=flaw.kind, code=flaw.code, message=flaw.message, usage=usage, most_attempts=flaw.most_attempts
    )


#: Flaws of a document without an answer, in which an error may stand instead.
_WITHOUT_ANSWER: Final = frozenset(
    _FLAWS[kind].code for kind in (AnswerKind.FAILED, AnswerKind.NO_CHOICES, AnswerKind.EMPTY)
)


def outcome_holds_nothing(outcome: Outcome) -> bool:
    """Return whether there is no answer in the document, nor a filter that withheld one."""
    return isinstance(outcome, Failure) and outcome.code in _WITHOUT_ANSWER


def refuse_truncated(outcome: Outcome) -> Outcome:
    """Make a dead letter of an answer that was cut at its token limit: the same request would be cut again."""
    if isinstance(outcome, Failure) or not outcome.truncated:
        return outcome
    message = "the answer was cut at its token limit" + (" before its first word" if outcome.empty else "")
    return Failure(kind=FailureKind.PERMANENT, code="truncated", message=message, usage=outcome.usage)
