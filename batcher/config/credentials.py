"""Reads the API key and the extra headers from environment variables. No error repeats a value."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from batcher.config.headers import check_header_names, key_header
from batcher.config.table import API_KEY_ENV, HEADERS
from batcher.domain.errors import CredentialsError
from batcher.domain.messages import Cause, Message
from batcher.domain.secret import Secret
from batcher.domain.settings import JobSettings
from batcher.policy.privacy.redact import SHORTEST_SEARCHED
from batcher.policy.urls import host_of, is_loopback, is_private, key_may_travel

_KEY = re.compile(r"[!-~]+")
_HEADER_VALUE = re.compile(r"[ -~]+")
#: `$NAME`, `${NAME}`, `${NAME:-}`, `%NAME%`, `{{ NAME }}`: what a shell or an env file has not replaced.
_PLACEHOLDER = re.compile(
    r"\$[A-Z][A-Z0-9_]*|\$\{[A-Z][A-Z0-9_]*(:?[-=?+])?\}|%[A-Z][A-Z0-9_]*%|\$?\{\{[\w. ]+\}\}"
)
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*_(KEY|TOKEN|SECRET)\s*=")
_ENV_FILE = ".env"
_QUOTES = "\"'`"
_KEY_PREFIX = re.compile(r"(sk|gsk|hf|r8|xai|key|pplx|nvapi|AIza|csk|tgp|fw)[_A-Za-z0-9]{16,}")
_KEY_LENGTH = 20


def find_key(settings: JobSettings, environ: Mapping[str, str]) -> Secret | None:
    """Return the key to send, or None if the endpoint needs none.

    It is None for the simulated provider. If the variable is not set, it is also None for a loopback endpoint, and
    if a header such as `api-key` carries the key instead.
    """
    if settings.simulate:
        return None
    name = settings.api_key_env
    if not environ.get(name, "").strip():
        if is_loopback(host_of(settings.base_url)) or key_header(settings.headers) is not None:
            return None
        raise CredentialsError(
            _missing(name, environ),
            hint=_env_file_advice(name)
            or f"keys go to {host_of(settings.base_url)}; only a server on loopback needs none",
        )
    key = as_secret(environ[name], name)
    _refuse_unmaskable(key, name, host_of(settings.base_url))
    _check_travel(settings)
    return key


def find_headers(settings: JobSettings, environ: Mapping[str, str]) -> dict[str, Secret]:
    """Return header names and values for `[provider.headers]`, in its order."""
    if settings.simulate:
        return {}
    check_header_names(settings.headers, HEADERS.toml_path)
    found = {header: _header_value(header, name, environ) for header, name in settings.headers.items()}
    if found:
        _check_travel(settings)
    return found


def key_mark(settings: JobSettings, environ: Mapping[str, str], salt: str) -> str:
    """Return four digits that differ if other credentials or headers would be sent, but for one case in 65,536.

    So few digits of a salted digest say nothing of a key. Raises CredentialsError if there are none to send.
    """
    key, headers = find_key(settings, environ), find_headers(settings, environ)
    sent = [salt, "" if key is None else key.reveal()]
    sent += [f"{name.lower()}:{headers[name].reveal()}" for name in sorted(headers)]
    return sha256("\0".join(sent).encode()).hexdigest()[:4]


def as_secret(value: str, name: str) -> Secret:
    """Return a key without surrounding white space. `name` is what errors call it: the variable, or `api_key`.

    Raises CredentialsError for what no key contains: quotes around it, "Bearer" or `NAME=` before it, white space
    or control characters inside, anything outside ASCII; and for a variable's name that nothing has replaced.
    """
    key = value.strip()
    if not key:
        raise CredentialsError(f"{name} is empty")
    if len(key) > 1 and key[0] == key[-1] and key[0] in _QUOTES:
        raise CredentialsError(f"{name} has quotes around the key", hint="remove them; some env files keep them")
    if key.lower().startswith("bearer "):
        raise CredentialsError(
            f"{name} begins with Bearer", hint="give the key alone; Bearer is added when it is sent"
        )
    if _PLACEHOLDER.fullmatch(key):
        raise CredentialsError(
            f"{name} holds the name of a variable, such as ${API_KEY_ENV.default}, instead of its value",
            hint="give it the key itself; single quotes and many env files replace no variables",
        )
    if _ASSIGNMENT.match(key):
        raise CredentialsError(f"{name} begins with the name of a variable and =", hint="give the key alone")
    if not _KEY.fullmatch(key):
        raise CredentialsError(
            f"{name} holds white space, a control character or one outside ASCII, which no key has",
            hint="copy the key again, on one line",
        )
    return Secret(key)


def refuse_key_as_name(name: str, where: str, environ: Mapping[str, str]) -> None:
    """Raise CredentialsError if the name of a variable looks like a key: a job remembers and shows the name."""
    if name not in environ and _looks_like_key(name):
        raise CredentialsError(
            f"{where} takes the name of a variable; what was given looks like a key, and no variable is called so",
            hint=f"export the key in a variable, such as {API_KEY_ENV.default}, and give that variable's name",
        )


def _looks_like_key(name: str) -> bool:
    if _KEY_PREFIX.fullmatch(name):
        return True
    long_and_mixed = len(name) >= _KEY_LENGTH and "_" not in name
    return long_and_mixed and any(c.islower() for c in name) and any(c.isdigit() for c in name)


def _missing(name: str, environ: Mapping[str, str]) -> Message:
    state = "is empty" if name in environ else "is not set"
    return Cause.NO_KEY(variable=name, state=state)


def _env_file_advice(name: str) -> str | None:
    """Return how to take the variable from the `.env` file of the working directory, if it is there."""
    try:
        lines = Path(_ENV_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    if not any(re.match(rf"\s*(export\s+)?{re.escape(name)}=\S", line) for line in lines):
        return None
    return f"{_ENV_FILE} here names it, but is not read by itself: `set -a; . ./{_ENV_FILE}; set +a`"


def _header_value(header: str, name: str, environ: Mapping[str, str]) -> Secret:
    value = environ.get(name, "").strip()
    if not value:
        state = "is empty" if name in environ else "is not set"
        raise CredentialsError(
            f"{name} {state}: it holds the header {header}",
            hint=f"export {name}, or remove {header} from [{HEADERS.toml_path}]",
        )
    if not _HEADER_VALUE.fullmatch(value):
        raise CredentialsError(
            f"{name} holds a control character or one outside ASCII and cannot be sent as the header {header}",
            hint="a header's value is one line of plain text",
        )
    return Secret(value)


def _refuse_unmaskable(key: Secret, name: str, host: str) -> None:
    """Reject keys that are too short to redact: such a string occurs in ordinary replies.

    Allowed for loopback and private hosts.
    """
    if len(key.reveal()) < SHORTEST_SEARCHED and not is_loopback(host) and not is_private(host):
        raise CredentialsError(
            f"{name} holds fewer than {SHORTEST_SEARCHED} characters, which is not a key for {host}",
            hint="copy the key again; one this short could not be redacted if the provider repeats it",
        )


def _check_travel(settings: JobSettings) -> None:
    if not key_may_travel(settings.base_url, settings.allow_http):
        raise CredentialsError(
            f"the key would go to {host_of(settings.base_url)} in plain http: anyone on the way could read it",
            hint=Cause.ALLOW_HTTP(),
        )
