"""The cause of a dead letter, or of many, that says what a person can do about it."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from batcher.domain.messages import Cause, Message
from batcher.domain.states import FailureKind
from batcher.policy.wording.token_overflow import Figures


class Means(Struct, frozen=True, kw_only=True):
    """What fills in the commands of an advice, so that they can be pasted and reach the same rows and endpoint."""

    #: What selects the letters: a SELECTION.
    which: Message
    #: What selects those that one file can hold; None: all of them.
    export: Message | None = None
    #: The number of the first of them.
    request: str = "REQUEST"
    #: The numbers of their jobs.
    jobs: str = ""
    #: The endpoint of the jobs: an ENDPOINT.
    endpoint: Message | None = None
    #: A model that answers there; else a word that `dlq retry` refuses.
    model: str = "MODEL"
    #: What sets the maximum of the answer, as the rows call it: a MAXIMUM.
    maximum: Message = Cause.MAXIMUM(path="max_tokens", is_stated=True)
    #: The edit that the provider's message asks for.
    edit: Message = Cause.EDIT_SET(path="PATH")


#: For codes that say enough by themselves.
_BY_CODE: Final[Mapping[str, Cause]] = {
    "context_length_exceeded": Cause.LETTER_CONTEXT_LENGTH_EXCEEDED,
    "content_filter": Cause.LETTER_CONTENT_FILTER,
    "model_not_found": Cause.LETTER_MODEL_NOT_FOUND,
    "timeout": Cause.LETTER_TIMEOUT,
    "refused_too_often": Cause.LETTER_REFUSED_TOO_OFTEN,
    "request_too_large": Cause.LETTER_REQUEST_TOO_LARGE,
    "never_fits": Cause.LETTER_NEVER_FITS,
    "reply_too_large": Cause.LETTER_REPLY_TOO_LARGE,
    "invalid_output": Cause.LETTER_INVALID_OUTPUT,
    "invalid_json": Cause.LETTER_INVALID_JSON,
    "html_reply": Cause.LETTER_HTML_REPLY,
    "no_choices": Cause.LETTER_NO_CHOICES,
    "empty_answer": Cause.LETTER_EMPTY_ANSWER,
    "truncated": Cause.LETTER_TRUNCATED,
    "unasked_stream": Cause.LETTER_UNASKED_STREAM,
    "not_json": Cause.LETTER_NOT_JSON,
    "null_embedding": Cause.LETTER_NULL_EMBEDDING,
    "fewer_embeddings": Cause.LETTER_FEWER_EMBEDDINGS,
    "internal_error": Cause.LETTER_INTERNAL_ERROR,
    "worker_lost": Cause.LETTER_WORKER_LOST,
    "invalid_request_error": Cause.LETTER_INVALID_REQUEST_ERROR,
    "tls": Cause.LETTER_TLS,
    "dns": Cause.LETTER_DNS,
}
_BY_CODE_TOO: Final[Mapping[str, str]] = {
    "content_policy_violation": "content_filter",
    "content_policy": "content_filter",
    "moderation": "content_filter",
    "DataInspectionFailed": "content_filter",
    "data_inspection_failed": "content_filter",
    "minimax_1026": "content_filter",
    "minimax_1027": "content_filter",
    "invalid_prompt": "content_filter",
    "DeploymentNotFound": "model_not_found",
    "invalid_model": "model_not_found",
    "not_found_error": "model_not_found",
    "NotFoundError": "model_not_found",
    "NOT_FOUND": "model_not_found",
    "INVALID_ARGUMENT": "invalid_request_error",
    "BadRequestError": "invalid_request_error",
}

_BY_STATUS: Final[Mapping[int, Cause]] = {
    401: Cause.LETTER_KEY_REFUSED,
    403: Cause.LETTER_NOT_PERMITTED,
    404: Cause.LETTER_NOT_FOUND,
    405: Cause.LETTER_PATH_REFUSED,
    413: Cause.LETTER_REQUEST_TOO_LARGE,
    501: Cause.LETTER_NOT_SUPPORTED,
}


def advice(code: str, kind: str, status: int | None, *, means: Means | None = None) -> Message:
    """Return what to do about dead letters of this code, kind (a FailureKind's value) and last HTTP status.

    Without `means`, the commands select the letters by their code.
    """
    cause = _BY_CODE.get(_BY_CODE_TOO.get(code, code))
    if cause is None and kind == FailureKind.TRANSIENT and status not in _BY_STATUS:
        cause = Cause.LETTER_NETWORK if status is None else Cause.LETTER_ATTEMPTS_USED
    return _filled(
        cause or _BY_STATUS.get(status or 0, Cause.LETTER_AT_FAULT), means or Means(which=by_code(code))
    )


def advice_for_one(message: Message, request: int) -> Message:
    """Return the advice about letters for one of them that is being shown."""
    one = Cause.SELECTION(request=request)
    return message.replaced(which=one, export=one, is_shown=True)


def advice_in_figures(code: str, figures: Figures, *, means: Means) -> Message:
    """Return the advice if the provider stated how large the requests are."""
    cause = Cause.LETTERS_OVER_LIMIT if code == "request_too_large" else Cause.LETTERS_OVER_CONTEXT
    return _filled(cause, means).replaced(
        longest=figures.longest, least=figures.least_limit, most=figures.most_limit
    )


def by_code(code: str) -> Message:
    """Return what selects the letters of a code."""
    return Cause.SELECTION(code=code)


def _filled(cause: Cause, means: Means) -> Message:
    return Message(
        cause, {**asdict(means), "export": means.export or means.which, "endpoint": means.endpoint or ""}
    )
