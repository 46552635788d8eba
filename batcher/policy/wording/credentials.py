"""Which headers carry a credential, and which of their text must be redacted.

A header is judged by its name and by its value: `Helicone-Cache-Enabled: true` is no credential, and neither is
the word `disabled` under a name with `auth` in it. Redacting such a value would change answers that contain it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

#: Headers in which some providers expect the key.
KEY_HEADERS: Final = frozenset({"api-key", "x-api-key", "x-goog-api-key"})

_WORDS: Final = re.compile(r"[A-Za-z0-9]+")
#: Words of a name that say "credential", also at the end of a compound (`x-authtoken`). A `key` alone is none
#: there: `portkey` is the name of a gateway.
_CREDENTIAL_ENDINGS: Final = (
    *("token", "secret", "cookie", "password", "passwd", "passphrase", "credential", "credentials"),
    *("auth", "authorization", "authentication", "signature", "jwt", "assertion"),
    *("apikey", "authkey", "secretkey", "accesskey", "privatekey", "subscriptionkey"),
)
_CREDENTIAL_WORDS: Final = frozenset({"key", "pwd", "sig", "bearer", "pat", "sas"})
#: Words before `key` that make it the name of something else.
_OTHER_KEYS: Final = frozenset({"idempotency", "cache", "partition", "routing", "sort", "shard"})

#: How the keys of well-known services begin.
_KEY_START: Final = re.compile(
    r"(?:(?:sk|pk|rk|gsk|hf|r8|xai|pplx|nvapi|csk|tgp|fw|ghp|gho|ghs|glpat|xox[a-z]|key|tok|token|secret)[-_]|AIza|eyJ)"
    r"[A-Za-z0-9._-]{8,}"
)
#: A credential with its scheme, as in Authorization (RFC 9110, 11.4), whatever the header is called.
_SCHEME: Final = re.compile(r"(?:Bearer|Basic|Token|ApiKey|Api-Key) +[^ ]{8,}", re.IGNORECASE)
_SHORTEST: Final = 8
#: The same in a header that is there for a key.
_SHORTEST_KEY: Final = 4
#: Values of letters alone up to this length are words, also several: `high-priority`.
_LONGEST_WORDS: Final = 15
_WORD: Final = r"(?:[A-Z]?[a-z]+|[A-Z]+)"
_OF_WORDS: Final = re.compile(rf"{_WORD}(?:[-_. /,;:]+(?:{_WORD})?)*")
#: Numbers, dates, versions and times.
_OF_DIGITS: Final = re.compile(r"[0-9][0-9.:/,+ TZ-]*")


def names_credential(name: str) -> bool:
    """Return whether a header or a parameter of this name carries a credential."""
    words = _WORDS.findall(name.lower())
    if not words or (words[-1] == "key" and not _OTHER_KEYS.isdisjoint(words)):
        return False
    return any(word in _CREDENTIAL_WORDS or word.endswith(_CREDENTIAL_ENDINGS) for word in words)


def is_like_credential(value: str) -> bool:
    """Return whether the value can be a credential: long enough, and no word, number or date."""
    if len(value) < _SHORTEST:
        return False
    is_plain = _OF_WORDS.fullmatch(value) or _OF_DIGITS.fullmatch(value)
    return not (is_plain and len(value) <= _LONGEST_WORDS)


def is_known_key(value: str) -> bool:
    """Return whether the value begins as the keys of well-known services do."""
    return _KEY_START.fullmatch(value) is not None


def header_credentials(name: str, value: str) -> list[str]:
    """Return the texts of a header that must be redacted; [] if it carries no credential.

    For `Bearer KEY` that is the key, too; of a cookie, its values; of a JSON object, members that are named so.
    """
    if names_credential(name) or _SCHEME.match(value):
        found = [value, value.rpartition(" ")[2], *_cookie_values(value)]
        is_key = name.lower() in KEY_HEADERS
        return [each for each in dict.fromkeys(found) if is_like_credential(each) or (is_key and _is_short(each))]
    words = [each for each in value.split() if is_known_key(each)]
    return list(dict.fromkeys([*words, *_members_with_credentials(value)]))


def _is_short(value: str) -> bool:
    """Return whether it can be a short key: letters and digits, as in `ab12`."""
    return _SHORTEST_KEY <= len(value) < _SHORTEST and not value.isalpha() and not value.isdigit()


def _cookie_values(value: str) -> Iterator[str]:
    for part in value.split(";"):
        _, sign, text = part.strip().partition("=")
        if sign:
            yield text.strip('"')


def _members_with_credentials(value: str) -> Iterable[str]:
    """Yield the strings of a JSON object, as some gateways take their configuration, whose names say so."""
    if not value.startswith(("{", "[")):
        return ()
    try:
        return list(_walk(json.loads(value)))
    except (ValueError, RecursionError):
        return ()


def _walk(document: object) -> Iterator[str]:
    if isinstance(document, list):
        for each in document:
            yield from _walk(each)
    elif isinstance(document, dict):
        for name, each in document.items():
            if isinstance(each, str):
                if names_credential(name) and is_like_credential(each):
                    yield each
            else:
                yield from _walk(each)
