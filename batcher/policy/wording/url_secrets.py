"""Base URLs as they may be shown: without what may be a secret in them.

A base URL is stored, because a job goes on with it. It is never shown whole: the values of its query, a user name
and password, and a token in its path are `…`.
"""

import re
from typing import Final
from urllib.parse import unquote

from batcher.policy.wording.credentials import is_like_credential, names_credential

#: Parameters whose value is not a secret.
_PLAIN: Final = frozenset({"api-version", "version"})
_MASK: Final = "…"

_URL: Final = re.compile(r"\bhttps?://[^\s\"'<>`\\]+", re.IGNORECASE)
_PARTS: Final = re.compile(
    r"(?P<scheme>[a-z]+://)(?P<user>[^/?#]*@)?(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<query>.*)", re.IGNORECASE
)
_SEPARATORS: Final = re.compile(r"[-_.~:+]")
#: What a part of an ordinary segment is: a word, a number, or a short mixture (`4o`, `v1beta`, `Qwen2`, `72B`).
_ORDINARY_PART: Final = re.compile(
    r"[A-Za-z]{0,20}|[0-9]{1,15}|[A-Za-z]+[0-9]{1,4}|[0-9]{1,4}[A-Za-z]{1,4}|v[0-9]+[a-z]+[0-9]*"
)
#: How a segment begins that is a key whatever follows.
_KEY_START: Final = re.compile(
    r"(?:sk|pk|gsk|hf|r8|xai|pplx|nvapi|csk|tgp|ghp|glpat|tok|token|key|apikey|secret|auth)[-_=:].{6,}",
    re.IGNORECASE,
)
#: Parameters that carry a credential beside those that `names_credential` knows.
_CODE: Final = frozenset({"code"})
#: A token in the path that is this long is redacted from replies as well; a shorter one may be a model's name.
_LONG: Final = 16
_SHORTEST: Final = 8
#: Segments after which a token stands, beside those that `names_credential` knows.
_BEFORE_A_TOKEN: Final = frozenset({"t", "k"})


def shown_base_url(url: str) -> str:
    """Return the URL with `…` in place of what may be a secret in it; `api-version` stays."""
    found = _PARTS.fullmatch(url)
    if found is None:
        return url
    user = f"{_MASK}@" if found["user"] else ""
    path = "/".join(_shown_segment(segment, before) for before, segment in _segments(found["path"]))
    return f"{found['scheme']}{user}{found['host']}{path}{_shown_query(found['query'])}"


def mask_urls(text: str) -> str:
    """Return the text with every URL in it as `shown_base_url` shows it."""
    return _URL.sub(lambda found: shown_base_url(found[0]), text)


def url_credentials(url: str) -> list[str]:
    """Return the texts of a base URL that must be redacted from replies: tokens of its path and query."""
    found = _PARTS.fullmatch(url)
    if found is None:
        return []
    tokens = [segment for before, segment in _segments(found["path"]) if _is_token(segment, before)]
    secrets = [each for each in tokens if len(each) >= _LONG or _KEY_START.match(each)]
    for parameter in _parameters(found["query"]):
        name, _, value = parameter.partition("=")
        if (names_credential(name) or name.lower() in _CODE) and is_like_credential(unquote(value)):
            secrets.append(value)
    return list(dict.fromkeys([*secrets, *map(unquote, secrets)]))


def _segments(path: str) -> list[tuple[str, str]]:
    """Return every segment of the path with the one before it."""
    parts = path.split("/")
    return list(zip(["", *parts], parts, strict=False))


def _shown_segment(segment: str, before: str) -> str:
    return _MASK if _is_token(segment, before) else segment


def _is_token(segment: str, before: str) -> bool:
    """Return whether a segment of a path is a token, such as of a web hook or a proxy, and no name or version."""
    text = unquote(segment)
    if _KEY_START.match(text):
        return True
    if len(text) < _SHORTEST:
        return False
    if (names_credential(before) or before.lower() in _BEFORE_A_TOKEN) and not text.isalpha():
        return True
    return not all(_ORDINARY_PART.fullmatch(part) for part in _SEPARATORS.split(text))


def _parameters(query: str) -> list[str]:
    return query.removeprefix("?").split("&") if query.startswith("?") else []


def _shown_query(query: str) -> str:
    if not query.startswith("?"):
        return query
    return "?" + "&".join(_shown_parameter(part) for part in _parameters(query))


def _shown_parameter(parameter: str) -> str:
    name, sign, _ = parameter.partition("=")
    if name in _PLAIN:
        return parameter
    return f"{name}={_MASK}" if sign else _MASK if name else ""
