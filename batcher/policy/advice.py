"""What a person can do about a dead letter, in a sentence or two."""

import shlex
from collections.abc import Mapping
from typing import Final

from batcher.domain.states import FailureKind

#: How a body is changed: the job file stays as it was run, so the row goes into another.
_AS_NEW: Final = "put the row, mended, into a job file of its own and `batcher run` that"

#: Where the code says enough. `{code}` is the letter's own.
_BY_CODE: Final[Mapping[str, str]] = {
    "context_length_exceeded": (
        "The prompt and its max_tokens do not fit the model's window. Shorten it, lower max_tokens, or "
        f"take a model with a longer window: {_AS_NEW}."
    ),
    "content_filter": (
        "The provider's content filter withheld the prompt or the answer; the same text is withheld "
        f"again. Reword it: {_AS_NEW}."
    ),
    "model_not_found": (
        "The endpoint does not know the model, or the key has no access to it. Give the key access, then "
        f"`batcher dlq retry --code {{code}}`; or name another model: {_AS_NEW}."
    ),
    "timeout": (
        "No whole reply came in time, twice, and each may have been billed. Give it longer: `batcher dlq "
        "retry --code {code}`, then `batcher resume --timeout 1800`; or lower its max_tokens."
    ),
    "refused_too_often": (
        "Refused time and again while other rows of its model were answered: it is probably too large for"
        f" the limit. Lower its max_tokens or split it: {_AS_NEW}."
    ),
    "request_too_large": (
        "The request is larger than the provider takes, so waiting cannot help. Shorten it or lower its "
        f"max_tokens: {_AS_NEW}; or have the limit raised, then `batcher dlq retry --code {{code}}`."
    ),
    "never_fits": (
        "Its max_tokens alone is over the token limit a minute. Have the limit raised: `batcher dlq retry "
        f"--code {{code}}`, then `batcher resume --tpm N`; or lower it: {_AS_NEW}."
    ),
    "reply_too_large": (
        "The reply is larger than batcher reads. Ask for less: lower n or max_tokens, or send fewer "
        f"inputs in one request: {_AS_NEW}."
    ),
    "invalid_json": (
        "Every reply was cut short or was no JSON: a proxy or gateway on the way is the likely cause. See"
        " the replies with `batcher dlq show REQUEST --json`, then `batcher dlq retry --code {code}`."
    ),
    "html_reply": (
        "A web page came in place of an answer: a proxy, a login or a firewall stands between. See it "
        "with `batcher dlq show REQUEST --json`, then `batcher dlq retry --code {code}`."
    ),
    "no_choices": (
        "The provider answered without any choice, more than once. Try later: `batcher dlq retry --code "
        f"{{code}}`; or with another model: {_AS_NEW}."
    ),
    "empty_answer": (
        "The model answered with nothing, more than once; it is billed each time. A changed prompt, a "
        f"higher max_tokens or another model may help: {_AS_NEW}."
    ),
    "worker_lost": (
        "The program died each time while this row was in flight, also when it ran alone. Look at its "
        "size with `batcher dlq show REQUEST` and report it; with more memory, `batcher dlq retry --code "
        "{code}`."
    ),
    "invalid_request_error": (
        f"The provider refuses the request as it is: its message names the parameter. Mend the body: {_AS_NEW}."
    ),
    "tls": (
        "The TLS handshake fails: a wrong host name, an old certificate, or a company's own. Check the "
        "base URL; then `batcher dlq retry --code {code}` and `batcher resume --ca-file FILE`."
    ),
    "dns": (
        "The host's name does not resolve. Check the base URL and the network, then `batcher dlq retry "
        "--code {code}`."
    ),
}
_BY_CODE_TOO: Final[Mapping[str, str]] = {
    "content_policy_violation": "content_filter",
    "content_policy": "content_filter",
    "moderation": "content_filter",
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
    401: (
        "The key was not accepted. Put a working one into its variable, then `batcher dlq retry --code {code}`."
    ),
    403: (
        "The key may not do this with that model, while it may do other things. Give it the permission, "
        f"then `batcher dlq retry --code {{code}}`; or name another model: {_AS_NEW}."
    ),
    404: (
        "The endpoint does not know the path or the model. Compare the row's url and model with the "
        f"provider's list; to change one, {_AS_NEW}."
    ),
    405: "The endpoint does not take this path. Check the row's url and the base URL (`--base-url`).",
    413: _BY_CODE["request_too_large"],
    501: "The server does not offer this. Use another path, parameter or model.",
}

_ATTEMPTS_USED_UP: Final = (
    "The provider's side failed on every attempt. When it is well again: `batcher dlq retry --code {code}`."
)
_NETWORK: Final = (
    "The connection failed on every attempt. Check the network and the base URL, then `batcher dlq retry "
    "--code {code}`."
)
_AT_FAULT: Final = (
    "The provider refuses the request as it is. Read its message with `batcher dlq show REQUEST` (all of "
    f"them: `batcher dlq list --code {{code}}`), mend the body: {_AS_NEW}."
)


def advice(code: str, kind: str, status: int | None) -> str:
    """What to do about a dead letter of this code, kind (a FailureKind's value) and last HTTP status.

    The code may be a provider's: it is quoted where it stands in a command.
    """
    text = _BY_CODE.get(_BY_CODE_TOO.get(code, code))
    if text is None and kind == FailureKind.TRANSIENT:
        text = _NETWORK if status is None else _ATTEMPTS_USED_UP
    return (text or _BY_STATUS.get(status or 0, _AT_FAULT)).replace("{code}", shlex.quote(code))
