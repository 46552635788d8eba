"""Where requests are sent and what is sent with each.

An endpoint, its key and headers, and the limits of time and size.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from batcher import __version__
from batcher.domain.secret import Secret
from batcher.policy.wording.credentials import header_credentials
from batcher.policy.wording.url_secrets import url_credentials


class Target(Struct, frozen=True, kw_only=True):
    """One endpoint with one key. `config` has normalized the base URL and checked names and values of headers."""

    base_url: str
    key: Secret | None = None
    #: Extra headers; each replaces a default header of the same name.
    headers: Mapping[str, Secret | str] = field(default_factory=dict)
    #: Where the key is, if a header of one's own carries it: "AZURE_KEY, which holds the header api-key".
    key_place: str = ""
    #: The variable that should hold the key and holds none, so that none is sent.
    missing_key: str = ""
    #: Seconds for one attempt, from the start of connecting to the last byte of the reply.
    timeout: float = 600.0
    #: A PEM file whose certificates are trusted in place of the system's.
    ca_file: str | None = None
    #: False for the built-in simulator, which a proxy cannot reach.
    use_proxy: bool = True
    #: Maximum size of a reply's body in decoded bytes.
    max_reply: int = 64 << 20


def request_headers(target: Target) -> dict[str, str]:
    """Return the headers of every request, including the key. X-Client-Request-Id is added to each request."""
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
    """Return what must be redacted from replies, the longest first.

    The key, credentials in headers, and tokens in the base URL.
    """
    values = [] if target.key is None else [target.key.reveal()]
    for name, value in target.headers.items():
        values += header_credentials(name, _plain(value))
    values += url_credentials(target.base_url)
    return tuple(sorted({value.encode() for value in values}, key=lambda secret: (-len(secret), secret)))


def _plain(value: Secret | str) -> str:
    return value.reveal() if isinstance(value, Secret) else value
