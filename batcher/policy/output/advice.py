"""What a person can do about a dead letter, or about many of one cause, in a sentence or two."""

import shlex
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from batcher.domain.states import FailureKind
from batcher.policy.wording.token_overflow import Figures


class Means(Struct, frozen=True, kw_only=True):
    """What fills in the commands of an advice, so that they can be pasted and reach the same rows and endpoint."""

    #: The options that select the letters, such as `--code timeout`, ready for a shell.
    which: str
    #: The options that select those that one file can hold.
    export: str = ""
    #: The number of the first of them.
    request: str = "REQUEST"
    #: The numbers of their jobs.
    jobs: str = ""
    #: The options of `run` that name the endpoint of the jobs.
    endpoint: str = ""
    #: A model that answers there; else a word that `dlq retry` refuses.
    model: str = "MODEL"
    #: What sets the maximum of the answer, as the rows call it. `N` stands for the number, and is refused, too.
    maximum: str = "max_tokens=N"
    #: The edit that the provider's message asks for.
    edit: str = "--set PATH=VALUE"


# In every text a name in braces is a field of `Means`.
_AGAIN: Final = "`batcher dlq retry {which}`"
_EDIT: Final = "`batcher dlq retry {which} {edit}`"
_OTHER_MODEL: Final = "`batcher dlq retry {which} --set model={model}`"
_MAX_TOKENS: Final = "`batcher dlq retry {which} --set {maximum}`"
#: Texts are edited in a file, which is then a job of its own.
_AS_FILE: Final = (
    "`batcher dlq export {export} -o fixed.jsonl`, edit the file, then `batcher run fixed.jsonl --new{endpoint}`"
)

#: For codes that say enough by themselves.
_BY_CODE: Final[Mapping[str, str]] = {
    "context_length_exceeded": (
        f"The prompt and its max_tokens do not fit the model's window. Lower max_tokens: {_MAX_TOKENS}; take a "
        f"model with a longer window: {_OTHER_MODEL}; or shorten the prompt: {_AS_FILE}."
    ),
    "content_filter": (
        "The provider's content filter withheld the prompt or the answer; the same text is withheld again. "
        f"Reword it: {_AS_FILE}; or ask another model: {_OTHER_MODEL}."
    ),
    "model_not_found": (
        "The endpoint does not know the model, or the key has no access to it. Give the key access, then "
        f"{_AGAIN}; or name another model: {_OTHER_MODEL}."
    ),
    "timeout": (
        "No complete reply arrived in time, twice, and each may have been billed. Allow more time: "
        f"{_AGAIN}, then `batcher resume{{jobs}} --timeout 1800`; or lower its max_tokens: {_MAX_TOKENS}."
    ),
    "refused_too_often": (
        "Refused repeatedly while other rows of its model were answered: it is probably too large for the "
        f"limit. Lower its max_tokens: {_MAX_TOKENS}; or split it: {_AS_FILE}."
    ),
    "request_too_large": (
        "The request is larger than the provider accepts, so waiting cannot help. Lower its max_tokens: "
        f"{_MAX_TOKENS}; shorten it: {_AS_FILE}; or have the limit raised, then {_AGAIN}."
    ),
    "never_fits": (
        "Its max_tokens alone exceeds the token limit per minute. Have the limit raised: "
        f"{_AGAIN}, then `batcher resume{{jobs}} --tpm N`; or lower it: {_MAX_TOKENS}."
    ),
    "reply_too_large": (
        "The reply is larger than batcher reads. Ask for less, a lower n or max_tokens: "
        f"{_MAX_TOKENS}; or send fewer inputs in one request: {_AS_FILE}."
    ),
    "invalid_output": (
        "The answers do not fit the schema that the request asks for; the message says where. Each is billed. "
        f"Fix the schema: {_EDIT}; allow a longer answer: {_MAX_TOKENS}; ask another model: {_OTHER_MODEL}; "
        f"or accept answers unchecked: {_AGAIN}, then `batcher resume{{jobs}} --no-validate-output`."
    ),
    "invalid_json": (
        "Every reply was cut short or was not JSON: a proxy or gateway on the way is the likely cause. See the "
        f"replies with `batcher dlq show {{request}} --json`, then {_AGAIN}."
    ),
    "html_reply": (
        "A web page arrived instead of an answer: a proxy, a login or a firewall is in between. See it with "
        f"`batcher dlq show {{request}} --json`, then {_AGAIN}."
    ),
    "no_choices": (
        f"The provider answered without any choice, more than once. Try later: {_AGAIN}; or with another model: "
        f"{_OTHER_MODEL}."
    ),
    "empty_answer": (
        "The model returned an empty answer, more than once; each is billed. A higher max_tokens may help: "
        f"{_MAX_TOKENS}; or another model: {_OTHER_MODEL}; or a changed prompt: {_AS_FILE}."
    ),
    "truncated": (
        "The answer was cut at its token limit, and `--fail-truncated` was given. Allow more tokens: "
        f"{_MAX_TOKENS}; or accept cut answers: {_AGAIN}, then `batcher resume{{jobs}} --no-fail-truncated`."
    ),
    "unasked_stream": (
        "The server streams its answer although the request does not ask for it. Turn streaming off at the server "
        "or the gateway; or say so in the request: `batcher dlq retry {which} --set stream=false --yes`."
    ),
    "not_json": (
        "The endpoint answers with sound, images or a file; batcher keeps JSON answers only. Send these requests "
        "with another tool."
    ),
    "null_embedding": (
        "The model computed no numbers (NaN) for an input, more than once, as some quantized models do. Use "
        f"another number format at the server, then {_AGAIN}; or another model: {_OTHER_MODEL}."
    ),
    "fewer_embeddings": (
        "The endpoint returned fewer vectors than the request has inputs, more than once. Send fewer inputs in "
        f"one request: {_AS_FILE}; or {_AGAIN}."
    ),
    "internal_error": (
        "batcher itself failed on the reply; the trace is in the row's history (`batcher dlq show {request}`). "
        f"Please report it with `batcher bundle --request {{request}} -o bundle.zip`. Then {_AGAIN}."
    ),
    "worker_lost": (
        "The program died each time while this row was in flight, even when it ran alone. Look at its size with "
        f"`batcher dlq show {{request}}` and report it; with more memory, {_AGAIN}."
    ),
    "invalid_request_error": (
        f"The provider refuses the request as it is: its message names the parameter. Fix the body: {_EDIT}, "
        "or take it out with --unset PATH; --probe tries one row first."
    ),
    "tls": (
        "The TLS handshake fails: a wrong host name, an old certificate, or a company's own authority. Check the "
        f"base URL; then {_AGAIN} and `batcher resume{{jobs}} --ca-file FILE`."
    ),
    "dns": f"The host's name does not resolve. Check the base URL and the network, then {_AGAIN}.",
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

_BY_STATUS: Final[Mapping[int, str]] = {
    401: f"The key was not accepted. Put a working one into its variable, then {_AGAIN}.",
    403: (
        "The key may not do this with that model, while it may do other things. Give it the permission, then "
        f"{_AGAIN}; or name another model: {_OTHER_MODEL}."
    ),
    404: (
        "The endpoint does not know the path or the model. Compare the row's url and model with the provider's "
        f"list; for another model {_OTHER_MODEL}, for another url {_AS_FILE}."
    ),
    405: "The endpoint does not accept this path. Check the row's url and the base URL (`--base-url`).",
    413: _BY_CODE["request_too_large"],
    501: f"The server does not support this. Use another parameter or model: {_EDIT}; or another url: {_AS_FILE}.",
}

_ATTEMPTS_USED_UP: Final = f"The provider's side failed on every attempt. When it has recovered: {_AGAIN}."
_NETWORK: Final = f"The connection failed on every attempt. Check the network and the base URL, then {_AGAIN}."
_READ: Final = (
    "Read its message with `batcher dlq show {request}` (all of them: `batcher dlq list {which}`), fix the body:"
)
_AT_FAULT: Final = f"The provider refuses the request as it is. {_READ} {_EDIT}; --probe tries one row first."

#: If the provider has given figures.
_OVER_CONTEXT: Final = f"shorten them ({_AS_FILE}) or set another model with {_OTHER_MODEL}"
_OVER_BY_CODE: Final[Mapping[str, str]] = {
    "request_too_large": (
        f"lower max_tokens with {_MAX_TOKENS}, shorten them ({_AS_FILE}), or have the limit raised, then {_AGAIN}"
    ),
}


def advice(code: str, kind: str, status: int | None, *, means: Means | None = None) -> str:
    """Return what to do about dead letters of this code, kind (a FailureKind's value) and last HTTP status.

    Without `means`, the commands select the letters by their code, quoted because a provider chose it.
    """
    text = _BY_CODE.get(_BY_CODE_TOO.get(code, code))
    if text is None and kind == FailureKind.TRANSIENT and status not in _BY_STATUS:
        text = _NETWORK if status is None else _ATTEMPTS_USED_UP
    return _filled(text or _BY_STATUS.get(status or 0, _AT_FAULT), means or Means(which=by_code(code)))


def advice_for_one(text: str, means: Means, request: int) -> str:
    """Return the advice about the letters that `means` selects for one of them that is being shown."""
    text = text.replace(_filled(_READ, means), "As its message says, fix the body:")
    return text.replace(means.which, str(request))


def advice_in_figures(code: str, figures: Figures, *, means: Means) -> str:
    """Return the advice if the provider stated how large the requests are."""
    text = _OVER_BY_CODE.get(code, _OVER_CONTEXT)
    limit = f"{figures.most_limit:,}"
    if figures.least_limit != figures.most_limit:
        limit = f"{figures.least_limit:,} to {limit}"
    return f"longest {figures.longest:,} tokens, limit {limit}: {_filled(text, means)}"


def by_code(code: str) -> str:
    """Return the option that selects the letters of a code."""
    return f"--code {shlex.quote(code)}"


def _filled(text: str, means: Means) -> str:
    values = {
        "which": means.which,
        "export": means.export or means.which,
        "request": means.request,
        "jobs": f" {means.jobs}" if means.jobs else "",
        "endpoint": f" {means.endpoint}" if means.endpoint else "",
        "model": means.model,
        "maximum": means.maximum,
        "edit": means.edit,
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
