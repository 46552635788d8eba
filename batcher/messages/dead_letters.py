"""What to do about a dead letter, or about many of one cause.

The fields are those of `policy.output.advice.Means`: they fill in the commands, so that these can be pasted and
reach the same rows and endpoint.
"""

from collections.abc import Mapping
from typing import Final

from batcher.config.table import API_KEY_ENV, BASE_URL, SIMULATE
from batcher.domain.messages import Cause
from batcher.messages.templates import Parameters, Template

_AGAIN: Final = "`batcher dlq retry {which}`"
_EDIT: Final = "`batcher dlq retry {which} {edit}`"
_OTHER_MODEL: Final = "`batcher dlq retry {which} --set model={model:shell}`"
_MAX_TOKENS: Final = "`batcher dlq retry {which} --set {maximum}`"
#: Texts are edited in a file, which is then a job of its own.
_AS_FILE: Final = (
    "`batcher dlq export {export} -o fixed.jsonl`, edit the file, then "
    "`batcher run fixed.jsonl --new{endpoint:spaced}`"
)

_READ: Final = (
    "Read its message with `batcher dlq show {request}` (all of them: `batcher dlq list {which}`), fix the body:"
)
#: The message is shown beside the advice about one letter.
_AS_SHOWN: Final = "As its message says, fix the body:"
_OVER_CONTEXT: Final = f"shorten them ({_AS_FILE}) or set another model with {_OTHER_MODEL}"
_OVER_LIMIT: Final = (
    f"lower max_tokens with {_MAX_TOKENS}, shorten them ({_AS_FILE}), or have the limit raised, then {_AGAIN}"
)


def _at_fault(parameters: Parameters) -> str:
    read = _AS_SHOWN if parameters.get("is_shown") else _READ
    return f"The provider refuses the request as it is. {read} {_EDIT}; --probe tries one row first."


def _in_figures(then: str) -> Template:
    def template(parameters: Parameters) -> str:
        limit = "{most:,}" if parameters["least"] == parameters["most"] else "{least:,} to {most:,}"
        return f"longest {{longest:,}} tokens, limit {limit}: {then}"

    return template


def _selection(parameters: Parameters) -> str:
    """The options of `dlq` that select letters, or the number of one."""
    if "request" in parameters:
        return "{request}"
    options = {"job": "{job}", "code": "{code:shell}", "kind": "{kind}", "status": "{status}"}
    return " ".join(f"--{name} {field}" for name, field in options.items() if name in parameters)


def _endpoint(parameters: Parameters) -> str:
    """The options of `run` that name an endpoint and its key."""
    if parameters.get("is_simulated"):
        return SIMULATE.flag
    key = f" {API_KEY_ENV.flag} {{key:shell}}" if parameters["key"] else ""
    return f"{BASE_URL.flag} {{base_url:shell}}{key}"


def _maximum(parameters: Parameters) -> str:
    return "{path}=N" if parameters["is_stated"] else "{path}=N --yes"


TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.LETTER_CONTEXT_LENGTH_EXCEEDED: (
        f"The prompt and its max_tokens do not fit the model's window. Lower max_tokens: {_MAX_TOKENS}; take a "
        f"model with a longer window: {_OTHER_MODEL}; or shorten the prompt: {_AS_FILE}."
    ),
    Cause.LETTER_CONTENT_FILTER: (
        "The provider's content filter withheld the prompt or the answer; the same text is withheld again. "
        f"Reword it: {_AS_FILE}; or ask another model: {_OTHER_MODEL}."
    ),
    Cause.LETTER_MODEL_NOT_FOUND: (
        "The endpoint does not know the model, or the key has no access to it. Give the key access, then "
        f"{_AGAIN}; or name another model: {_OTHER_MODEL}."
    ),
    Cause.LETTER_TIMEOUT: (
        "No complete reply arrived in time, twice, and each may have been billed. Allow more time: "
        f"{_AGAIN}, then `batcher resume{{jobs:spaced}} --timeout 1800`; or lower its max_tokens: {_MAX_TOKENS}."
    ),
    Cause.LETTER_REFUSED_TOO_OFTEN: (
        "Refused repeatedly while other rows of its model were answered: it is probably too large for the "
        f"limit. Lower its max_tokens: {_MAX_TOKENS}; or split it: {_AS_FILE}."
    ),
    Cause.LETTER_REQUEST_TOO_LARGE: (
        "The request is larger than the provider accepts, so waiting cannot help. Lower its max_tokens: "
        f"{_MAX_TOKENS}; shorten it: {_AS_FILE}; or have the limit raised, then {_AGAIN}."
    ),
    Cause.LETTER_NEVER_FITS: (
        "Its max_tokens alone exceeds the token limit per minute. Have the limit raised: "
        f"{_AGAIN}, then `batcher resume{{jobs:spaced}} --tpm N`; or lower it: {_MAX_TOKENS}."
    ),
    Cause.LETTER_REPLY_TOO_LARGE: (
        "The reply is larger than batcher reads. Ask for less, a lower n or max_tokens: "
        f"{_MAX_TOKENS}; or send fewer inputs in one request: {_AS_FILE}."
    ),
    Cause.LETTER_INVALID_OUTPUT: (
        "The answers do not fit the schema that the request asks for; the message says where. Each is billed. "
        f"Fix the schema: {_EDIT}; allow a longer answer: {_MAX_TOKENS}; ask another model: {_OTHER_MODEL}; "
        f"or accept answers unchecked: {_AGAIN}, then `batcher resume{{jobs:spaced}} --no-validate-output`."
    ),
    Cause.LETTER_INVALID_JSON: (
        "Every reply was cut short or was not JSON: a proxy or gateway on the way is the likely cause. See the "
        f"replies with `batcher dlq show {{request}} --json`, then {_AGAIN}."
    ),
    Cause.LETTER_HTML_REPLY: (
        "A web page arrived instead of an answer: a proxy, a login or a firewall is in between. See it with "
        f"`batcher dlq show {{request}} --json`, then {_AGAIN}."
    ),
    Cause.LETTER_NO_CHOICES: (
        f"The provider answered without any choice, more than once. Try later: {_AGAIN}; or with another model: "
        f"{_OTHER_MODEL}."
    ),
    Cause.LETTER_EMPTY_ANSWER: (
        "The model returned an empty answer, more than once; each is billed. A higher max_tokens may help: "
        f"{_MAX_TOKENS}; or another model: {_OTHER_MODEL}; or a changed prompt: {_AS_FILE}."
    ),
    Cause.LETTER_TRUNCATED: (
        "The answer was cut at its token limit, and `{--fail-truncated}` was given. Allow more tokens: "
        f"{_MAX_TOKENS}; or accept cut answers: {_AGAIN}, then "
        "`batcher resume{jobs:spaced} --no-fail-truncated`."
    ),
    Cause.LETTER_UNASKED_STREAM: (
        "The server streams its answer although the request does not ask for it. Turn streaming off at the server "
        "or the gateway; or say so in the request: `batcher dlq retry {which} --set stream=false --yes`."
    ),
    Cause.LETTER_NOT_JSON: (
        "The endpoint answers with sound, images or a file; batcher keeps JSON answers only. Send these requests "
        "with another tool."
    ),
    Cause.LETTER_NULL_EMBEDDING: (
        "The model computed no numbers (NaN) for an input, more than once, as some quantized models do. Use "
        f"another number format at the server, then {_AGAIN}; or another model: {_OTHER_MODEL}."
    ),
    Cause.LETTER_FEWER_EMBEDDINGS: (
        "The endpoint returned fewer vectors than the request has inputs, more than once. Send fewer inputs in "
        f"one request: {_AS_FILE}; or {_AGAIN}."
    ),
    Cause.LETTER_INTERNAL_ERROR: (
        "batcher itself failed on the reply; the trace is in the row's history (`batcher dlq show {request}`). "
        f"Please report it with `batcher bundle --request {{request}} -o bundle.zip`. Then {_AGAIN}."
    ),
    Cause.LETTER_WORKER_LOST: (
        "The program died each time while this row was in flight, even when it ran alone. Look at its size with "
        f"`batcher dlq show {{request}}` and report it; with more memory, {_AGAIN}."
    ),
    Cause.LETTER_INVALID_REQUEST_ERROR: (
        f"The provider refuses the request as it is: its message names the parameter. Fix the body: {_EDIT}, "
        "or take it out with --unset PATH; --probe tries one row first."
    ),
    Cause.LETTER_TLS: (
        "The TLS handshake fails: a wrong host name, an old certificate, or a company's own authority. Check the "
        f"base URL; then {_AGAIN} and `batcher resume{{jobs:spaced}} --ca-file FILE`."
    ),
    Cause.LETTER_DNS: f"The host's name does not resolve. Check the base URL and the network, then {_AGAIN}.",
    Cause.LETTER_KEY_REFUSED: f"The key was not accepted. Put a working one into its variable, then {_AGAIN}.",
    Cause.LETTER_NOT_PERMITTED: (
        "The key may not do this with that model, while it may do other things. Give it the permission, then "
        f"{_AGAIN}; or name another model: {_OTHER_MODEL}."
    ),
    Cause.LETTER_NOT_FOUND: (
        "The endpoint does not know the path or the model. Compare the row's url and model with the provider's "
        f"list; for another model {_OTHER_MODEL}, for another url {_AS_FILE}."
    ),
    Cause.LETTER_PATH_REFUSED: (
        "The endpoint does not accept this path. Check the row's url and the base URL (`{--base-url}`)."
    ),
    Cause.LETTER_NOT_SUPPORTED: (
        f"The server does not support this. Use another parameter or model: {_EDIT}; or another url: {_AS_FILE}."
    ),
    Cause.LETTER_ATTEMPTS_USED: f"The provider's side failed on every attempt. When it has recovered: {_AGAIN}.",
    Cause.LETTER_NETWORK: (
        f"The connection failed on every attempt. Check the network and the base URL, then {_AGAIN}."
    ),
    Cause.LETTER_AT_FAULT: _at_fault,
    Cause.LETTERS_OVER_CONTEXT: _in_figures(_OVER_CONTEXT),
    Cause.LETTERS_OVER_LIMIT: _in_figures(_OVER_LIMIT),
    Cause.SELECTION: _selection,
    Cause.ENDPOINT: _endpoint,
    Cause.MAXIMUM: _maximum,
    Cause.EDIT_SET: "--set {path}=VALUE",
    Cause.EDIT_UNSET: "--unset {path}",
    Cause.EDIT_MOVE: "--move {path}={to}",
}
