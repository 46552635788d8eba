"""Names of extra headers: which may be set, and which the sender sets itself."""

import re
from collections.abc import Iterable

from batcher.config import checks
from batcher.domain.errors import ConfigError
from batcher.policy.wording.credentials import KEY_HEADERS

#: RFC 9110 §5.6.2, token.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_FRAMING = "it belongs to the connection; remove it"
_BODY = "it describes the body, which is sent as it is in the file; remove it"
_OWN = "batcher sends it itself; remove it"
_KEY = "the key is sent as Authorization: Bearer; name its variable in api_key_env"

#: Lower-case name → why it is rejected.
_REFUSED = {
    **dict.fromkeys(("host", "connection", "keep-alive", "transfer-encoding", "upgrade", "expect"), _FRAMING),
    **dict.fromkeys(("te", "trailer", "proxy-connection", "proxy-authorization"), _FRAMING),  # codespell:ignore te
    **dict.fromkeys(("content-length", "content-type", "content-encoding"), _BODY),
    **dict.fromkeys(("accept-encoding", "x-client-request-id"), _OWN),
    "authorization": _KEY,
}


def check_header_names(names: Iterable[str], where: str) -> None:
    """Raise ConfigError for a name that is invalid, would break the protocol, or is given twice."""
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
            raise ConfigError(
                f"{where}: the header {name} is given twice",
                hint="header names are the same in upper and lower case",
            )
        seen.add(lower)


def header_variables(value: object, where: str) -> dict[str, str]:
    """Check for header names, each with the name of the variable that holds its value."""
    headers = checks.table(value, where)
    check_header_names(headers, where)
    return {header: checks.variable(name, f"{where}.{header}") for header, name in headers.items()}


def key_header(names: Iterable[str]) -> str | None:
    """Return the header that carries a key, as it is written, so that `api_key_env` may be unset; else None."""
    return next((name for name in names if name.lower() in KEY_HEADERS), None)
