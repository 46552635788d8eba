"""Which answers of an endpoint a job may share: those that were got with the same choosing headers.

Headers choose who answers (the route of a gateway, a provider, a region) and who may read (an organization, a
project, a tenant). Answers that were got with other ones are not reused. The key is no part of it: with another
key, the same answers are reused. A header that is not known to be inert counts, because a wrong answer costs more
than one that is paid again.
"""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from batcher.domain.settings import JobSettings
from batcher.policy.wording.credentials import header_credentials, names_credential

#: Names and words of headers that change neither who answers nor who may read.
_INERT: Final = frozenset(
    {
        *("accept", "accept-language", "user-agent", "referer", "http-referer", "origin", "from", "dnt", "date"),
        *("priority", "pragma", "traceparent", "tracestate", "baggage", "x-title", "x-openrouter-title"),
        *("anthropic-version", "anthropic-beta", "openai-beta", "x-request-id", "x-session-id"),
    }
)
_INERT_WORDS: Final = frozenset(
    {
        *("trace", "traceid", "tracing", "span", "correlation", "telemetry", "stainless", "idempotency"),
        *("cache", "log", "logs", "logging", "debug", "property", "timeout", "retry", "retries"),
    }
)
_WORDS: Final = re.compile(r"[a-z0-9]+")
#: Some gateways call the name of a stored provider a key: it chooses who answers.
_NAMES_OF_PROVIDERS: Final = "virtual"


def choosing_headers(names: Iterable[str]) -> list[str]:
    """Return those of the headers that choose who answers or who may read, in lower case and sorted."""
    return sorted(name for name in map(str.lower, names) if _chooses(name))


def answer_scope(settings: JobSettings, environ: Mapping[str, str]) -> str | None:
    """Return a digest of the choosing headers and their values; "" if there are none.

    None if a value is missing, so that it is not known.
    """
    variables = {name.lower(): variable for name, variable in settings.headers.items()}
    if settings.simulate:
        return ""
    values: dict[str, object] = {}
    for name in choosing_headers(variables):
        value = environ.get(variables[name], "").strip()
        if not value:
            return None
        if _NAMES_OF_PROVIDERS in name or not header_credentials(name, value):
            values[name] = value
        elif (plain := _without_credentials(value)) is not None:
            values[name] = plain
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16] if values else ""


def _chooses(name: str) -> bool:
    words = _WORDS.findall(name)
    if _NAMES_OF_PROVIDERS in words:
        return True
    return name not in _INERT and _INERT_WORDS.isdisjoint(words) and not names_credential(name)


def _without_credentials(value: str) -> object:
    """Return a gateway's configuration in JSON without its keys; None for a credential that is no JSON."""
    try:
        document: object = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return _pruned(document)


def _pruned(document: object) -> object:
    if isinstance(document, list):
        return [_pruned(each) for each in document]
    if isinstance(document, dict):
        return {name: _pruned(each) for name, each in document.items() if not names_credential(name)}
    return document
