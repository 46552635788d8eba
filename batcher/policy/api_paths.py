"""The paths of requests: plain ones, so that no line of a file can send the key to another host."""

import re
from functools import lru_cache
from typing import Final

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
RESPONSES: Final = "/v1/responses"
MODERATIONS: Final = "/v1/moderations"
KNOWN: Final = frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MODERATIONS})

_PLAIN: Final = re.compile(r"(/[A-Za-z0-9_.:-]+)+/?")
#: A version alone names no endpoint.
_NO_ENDPOINT: Final = re.compile(r"/v[0-9]+[a-z]*/?")
_WITH_HOST: Final = re.compile(r"(https?://[^/?#]+)(/[^?#]*)")


@lru_cache(maxsize=256)
def normal_path(url: str) -> str | None:
    """Return the path as it is stored, or None if it is not a plain path.

    The known endpoints are also accepted without `/v1`, as Azure's files have them, and with a slash at the end.
    """
    plain = url.removesuffix("/")
    for known in (plain, f"/v1{plain}"):
        if known in KNOWN:
            return known
    if _PLAIN.fullmatch(url) is None or _NO_ENDPOINT.fullmatch(url) is not None:
        return None
    return None if ".." in url or "." in url.split("/") else url


def path_reason(url: object) -> str:
    """Return why `url` is no plain path and what to write instead, as a text to follow its name."""
    example = f"such as {CHAT}"
    if not isinstance(url, str):
        return f"must be a plain path, {example}"
    with_host = _WITH_HOST.fullmatch(url)
    if with_host is not None and normal_path(with_host[2]) is not None:
        return f"must be a plain path: write {with_host[2]}; the server belongs in the base URL"
    if not url.startswith("/") and normal_path(f"/{url}") is not None:
        return f"must be a plain path: the / at its start is missing; write /{url}"
    before_query = url.partition("?")[0]
    if before_query != url and normal_path(before_query) is not None:
        return f"must be a plain path: write {before_query}; a query belongs in the base URL"
    return f"must be a plain path of letters, digits and _ . : - between slashes, {example}"
