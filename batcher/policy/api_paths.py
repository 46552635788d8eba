"""The paths of requests: plain ones under `/v1/`, so that no line of a file can send the key elsewhere."""

import re
from functools import lru_cache
from typing import Final

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
RESPONSES: Final = "/v1/responses"
MODERATIONS: Final = "/v1/moderations"
KNOWN: Final = frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MODERATIONS})

_PLAIN: Final = re.compile(r"/v1(/[A-Za-z0-9_.:-]+)+/?")


@lru_cache(maxsize=256)
def normal_path(url: str) -> str | None:
    """Return the path as it is stored, or None if it is not a plain path under `/v1/`.

    The known endpoints are also accepted without `/v1`, as Azure's files have them, and with a slash at the end.
    """
    plain = url.removesuffix("/")
    for known in (plain, f"/v1{plain}"):
        if known in KNOWN:
            return known
    if _PLAIN.fullmatch(url) is None or ".." in url or "." in url.split("/"):
        return None
    return url
