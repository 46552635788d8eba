"""Where requests go and what goes with each: an endpoint, its key, and how long and how much to wait for."""

from collections.abc import Mapping

from msgspec import Struct, field

from batcher import __version__
from batcher.domain.secret import Secret

#: Headers whose value names something and opens nothing: it stays in replies (`2023-06-01` may well be an answer).
PLAIN_HEADERS = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "http-referer",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "user-agent",
        "x-title",
    }
)


class Target(Struct, frozen=True, kw_only=True):
    """One endpoint with one key. The base URL is normalized, names and values of headers are checked (config)."""

    base_url: str
    key: Secret | None = None
    #: Extra headers; each wins over the one that would be sent otherwise.
    headers: Mapping[str, Secret | str] = field(default_factory=dict)
    #: Seconds for one attempt, from the first step of connecting to the last byte of the reply.
    timeout: float = 600.0
    #: A PEM file whose certificates are trusted in the place of the system's.
    ca_file: str | None = None
    #: Off for the built-in simulator, which a proxy cannot reach.
    use_proxy: bool = True
    #: Bytes of a reply's body, decoded.
    max_reply: int = 64 << 20


def request_headers(target: Target) -> dict[str, str]:
    """The headers of every request, the key among them. X-Client-Request-Id is added to each."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "application/json",
        "User-Agent": f"batcher/{__version__}",
    }
    if target.key is not None:
        headers["Authorization"] = f"Bearer {target.key.reveal()}"
    own = {name.lower() for name in target.headers}
    extra = {name: _plain(value) for name, value in target.headers.items()}
    return {name: value for name, value in headers.items() if name.lower() not in own} | extra


def secrets_of(target: Target) -> tuple[bytes, ...]:
    """What must not come back out of a reply, the longest first: the key, and headers that carry one.

    Of a value such as `Bearer KEY` also the last word.
    """
    values = [] if target.key is None else [target.key.reveal()]
    for name, value in target.headers.items():
        if isinstance(value, Secret) and name.lower() not in PLAIN_HEADERS:
            text = value.reveal()
            values += [text, text.rpartition(" ")[2]]
    return tuple(sorted({value.encode() for value in values}, key=lambda secret: (-len(secret), secret)))


def _plain(value: Secret | str) -> str:
    return value.reveal() if isinstance(value, Secret) else value
