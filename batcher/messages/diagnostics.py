"""What `doctor` advises, and what it found where that names an option or a command."""

from collections.abc import Mapping
from typing import Final

from batcher.domain.messages import Cause
from batcher.messages.templates import Template

_BASE_URL: Final = "check {--base-url}: it usually ends in /v1"

TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.HOST_UNKNOWN: "check the host's name in {--base-url}, and the network (VPN, name server)",
    Cause.CONNECTION_REFUSED: (
        "start the server, or correct host and port of {--base-url}; a firewall or proxy may also refuse"
    ),
    Cause.TLS_FAILED: (
        "check host and scheme of {--base-url} and this machine's date; for a company's own authority or a "
        "self-signed certificate, give its PEM file with {--ca-file:FILE}"
    ),
    Cause.NO_REPLY_IN_TIME: ("the model may still be loading: try again, or allow more time with {--timeout:S}"),
    Cause.NOT_AN_API: f"this is not the reply of an API: {_BASE_URL}",
    Cause.NOT_HTTP: f"what listens there does not speak plain HTTP: {_BASE_URL}, with the right scheme",
    Cause.SIMPLE_REQUEST_REJECTED: (
        "the endpoint rejects even this simple request: name another model with {--model}"
    ),
    Cause.NO_MODEL_SERVED: "load or deploy a model there, or name one with {--model}",
    Cause.NO_MODEL_KNOWN: "no model is known; name one with {--model}",
    Cause.OR_NAME_A_MODEL: "{fix}; if the endpoint lists no models, name one with {--model}",
    Cause.OR_ANOTHER_MODEL: "{fix}; {--model} names another",
    Cause.BAD_ROWS_ANSWERED: (
        "bad rows will be answered, and billed, as if they were good: check your rows with `batcher check`"
    ),
    Cause.BAD_ROWS_RETRIED: (
        "an error in a row looks like a fault of the server here, so bad rows are sent again and "
        "again: see what is in between (a gateway, a proxy), and check your rows with `batcher check`"
    ),
    Cause.NO_LIMITS_KNOWN: (
        "the reply announces no limits and none is given ({--rpm}, {--tpm}): the rate adapts to refusals"
    ),
    Cause.SEE_SETTINGS: "see `batcher doctor --help` and the README's settings",
    Cause.OTHER_STORE: "name another store with {--db}",
    Cause.STORE_TO_COME: "{path} does not exist yet; `batcher run FILE` creates it",
    Cause.STORE_FACTS: "{state}; {facts}",
    Cause.STORE_SPACE: "free some space on the disk of {path}, or name a store elsewhere with {--db}",
    Cause.SEE_DB_CHECK: "see `batcher db check`",
    Cause.COUNT_AGAIN: "run `batcher db compact`, which counts the rows again",
}
