"""What a person can do about a dead letter, in a sentence or two."""

import shlex
from collections.abc import Mapping
from typing import Final

from batcher.domain.states import FailureKind

#: Where the code says enough. `{code}` is the letter's own.
_BY_CODE: Final[Mapping[str, str]] = {
    "context_length_exceeded": (
        "The prompt and its max_tokens do not fit the model's window. Shorten it, lower max_tokens, or "
        "take a model with a longer window: `batcher dlq retry --code {code} --set model=M`."
    ),
    "content_filter": (
        "The provider's content filter withheld the prompt or the answer; the same text is withheld "
        "again. Reword it (`batcher dlq export -o FILE`, edit, run FILE), or drop it with `batcher dlq "
        "discard`."
    ),
    "model_not_found": (
        "The endpoint does not know the model, or the key has no access to it. Name another: `batcher dlq"
        " retry --code {code} --set model=M --probe`."
    ),
    "timeout": (
        "No whole reply came in time, twice, and each may have been billed. Lower max_tokens, or give it "
        "longer: `batcher dlq retry --code {code}`, then `batcher resume --timeout 1800`."
    ),
    "refused_too_often": (
        "Refused time and again while other rows of its model were answered: it is probably too large for"
        " the limit. Lower its max_tokens (`batcher dlq retry --code {code} --set max_tokens=N`) or split"
        " it."
    ),
    "request_too_large": (
        "The request is larger than the provider takes, so waiting cannot help. Shorten it, lower "
        "max_tokens (`batcher dlq retry --code {code} --set max_tokens=N`), or have the limit raised."
    ),
    "never_fits": (
        "Its max_tokens alone is over the token limit a minute. Lower it: `batcher dlq retry --code "
        "{code} --set max_tokens=N`, or have the limit raised (`--tpm`)."
    ),
    "reply_too_large": (
        "The reply is larger than batcher reads. Ask for less: lower n or max_tokens, or send fewer "
        "inputs in one request: `batcher dlq retry --code {code} --set max_tokens=N`."
    ),
    "invalid_json": (
        "Every reply was cut short or was no JSON: a proxy or gateway on the way is the likely cause. See"
        " the replies with `batcher dlq show REQUEST`, then `batcher dlq retry --code {code} --probe`."
    ),
    "html_reply": (
        "A web page came in place of an answer: a proxy, a login or a firewall stands between. See it "
        "with `batcher dlq show REQUEST`, then `batcher dlq retry --code {code} --probe`."
    ),
    "no_choices": (
        "The provider answered without any choice, more than once. Try later (`batcher dlq retry --code "
        "{code}`) or with another model (`--set model=M`)."
    ),
    "empty_answer": (
        "The model answered with nothing, more than once; it is billed each time. A changed prompt, a "
        "higher max_tokens or another model may help: `batcher dlq retry --code {code} --set model=M`."
    ),
    "worker_lost": (
        "The program died each time while this row was in flight, also when it ran alone. Look at its "
        "size with `batcher dlq show REQUEST`, report it with `batcher bundle --request N`, then `batcher"
        " dlq retry --code {code}`."
    ),
    "invalid_request_error": (
        "The provider refuses the request as it is: its message names the parameter. Mend it with "
        "`batcher dlq retry --code {code} --set PATH=VALUE --probe` (or `--unset PATH`)."
    ),
    "tls": (
        "The TLS handshake fails: a wrong host name, an old certificate, or a company's own. Check "
        "`--base-url` and `--ca-file` with `batcher doctor`, then `batcher dlq retry --code {code}`."
    ),
    "dns": (
        "The host's name does not resolve. Check `--base-url` and the network, then `batcher dlq retry "
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
        "The key may not do this with that model, while it may do other things. Give it the permission or"
        " name another model: `batcher dlq retry --code {code} --set model=M`."
    ),
    404: (
        "The endpoint does not know the path or the model. Compare the row's url and model with the "
        "provider's list (`batcher doctor`), then `batcher dlq retry --code {code} --set model=M`."
    ),
    405: ("The endpoint does not take this path. Check the row's url and `--base-url`, then run the mended file."),
    413: _BY_CODE["request_too_large"],
    501: "The server does not offer this. Use another path, parameter or model.",
}

_ATTEMPTS_USED_UP: Final = (
    "The provider's side failed on every attempt. When it is well again (`batcher doctor`): `batcher "
    "dlq retry --code {code} --probe`."
)
_NETWORK: Final = (
    "The connection failed on every attempt. Check the network and `--base-url` with `batcher "
    "doctor`, then `batcher dlq retry --code {code}`."
)
_AT_FAULT: Final = (
    "The provider refuses the request as it is. Read its message with `batcher dlq show REQUEST`, "
    "mend the body with `batcher dlq retry --code {code} --set PATH=VALUE --probe`, or drop it with "
    "`batcher dlq discard`."
)


def advice(code: str, kind: str, status: int | None) -> str:
    """What to do about a dead letter of this code, kind (a FailureKind's value) and last HTTP status.

    The code may be a provider's: it is quoted where it stands in a command.
    """
    text = _BY_CODE.get(_BY_CODE_TOO.get(code, code))
    if text is None and kind == FailureKind.TRANSIENT:
        text = _NETWORK if status is None else _ATTEMPTS_USED_UP
    return (text or _BY_STATUS.get(status or 0, _AT_FAULT)).replace("{code}", shlex.quote(code))
