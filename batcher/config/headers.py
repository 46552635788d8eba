"""Names of extra headers: which may be sent, and which are the sender's own."""

import re
from collections.abc import Iterable

from batcher.domain.errors import ConfigError

#: RFC 9110 §5.6.2, token.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_FRAMING = "it belongs to the connection; take it out"
_BODY = "it describes the body, which goes out as the file has it; take it out"
_OWN = "batcher sends it itself; take it out"
_KEY = "the key goes out as Authorization: Bearer; name its variable in api_key_env"

#: Lower-case name → why it is refused.
_REFUSED = {
    **dict.fromkeys(("host", "connection", "keep-alive", "transfer-encoding", "upgrade", "expect"), _FRAMING),
    **dict.fromkeys(("te", "trailer", "proxy-connection", "proxy-authorization"), _FRAMING),  # codespell:ignore te
    **dict.fromkeys(("content-length", "content-type", "content-encoding"), _BODY),
    **dict.fromkeys(("accept-encoding", "x-client-request-id"), _OWN),
    "authorization": _KEY,
}

#: Headers that some providers take a key in; where one is set, `api_key_env` may stay empty.
KEY_HEADERS = frozenset({"api-key", "x-api-key", "x-goog-api-key"})


def check_header_names(names: Iterable[str], where: str) -> None:
    """Raise a ConfigError for a name that is no header's, that would break the protocol, or that stands twice."""
    seen: set[str] = set()
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ConfigError(
                f"{where}: {name!r} is not a header name", hint="letters, digits and - are safe in header names"
            )
        lower = name.lower()
        if lower in _REFUSED:
            raise ConfigError(f"{where}: the header {name} cannot be set", hint=_REFUSED[lower])
        if lower in seen:
            raise ConfigError(f"{where}: the header {name} stands twice", hint="case does not tell headers apart")
        seen.add(lower)


def carries_key(names: Iterable[str]) -> bool:
    """Whether one of the headers is a key of its own."""
    return any(name.lower() in KEY_HEADERS for name in names)
