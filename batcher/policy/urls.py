"""Base URLs: one spelling for each, the URL of a request, and where a key may be sent."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, parse_qsl, urlsplit

from batcher.domain.errors import ConfigError
from batcher.domain.messages import Cause
from batcher.policy.wording.url_secrets import shown_base_url as shown_base_url  # noqa: PLC0414 - also for callers

_EXAMPLE = "it looks like https://api.openai.com/v1"
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: The prefix of every request's path, which the base URL replaces.
_PATH_PREFIX = "/v1/"
_SECRET_NAME = re.compile(r"(^|[-_.])(key|apikey|token|secret|sig|signature|password)$", re.IGNORECASE)

#: Paths of endpoints, without the prefix; `/chat/completions` before `/completions`, which it ends in.
_ENDPOINTS = ("/chat/completions", "/completions", "/embeddings", "/responses", "/moderations")

#: RFC 3986: the characters of a path and a query; everything else is percent-encoded there.
_URL_TEXT = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]*")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
#: A host whose last label is a number is an address to every resolver, including `127.1` and `0x7f000001`.
_NUMBER_AT_END = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$")

_PRIVATE_NETWORKS = tuple(
    ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fe80::/10", "fc00::/7")
)
#: Names that are never in the public DNS: mDNS (RFC 6762), ICANN's private-use name, RFC 8375.
_PRIVATE_SUFFIXES = (".local", ".internal", ".home.arpa")


def normalize_base_url(text: str) -> str:
    """Return the one spelling of a base URL: scheme and host in lower case, no default port, no slash at the end.

    The query is kept. Raises a ConfigError if it is not a base URL; the error never repeats a user name or
    password.
    """
    _check_text(text)
    parts = _split(text)
    scheme = parts.scheme
    if "://" not in text or scheme not in _DEFAULT_PORTS:
        raise ConfigError(
            f"the base URL {_shown(text)!r} does not begin with http:// or https://",
            hint=f"{_EXAMPLE}; for a server on this machine http://127.0.0.1:8000/v1",
        )
    if "@" in parts.netloc:
        raise ConfigError(
            "the base URL holds a user name or a password (the part before @)",
            hint=Cause.KEY_VARIABLE(),
        )
    if not _URL_TEXT.fullmatch(parts.path + parts.query):
        raise ConfigError(
            f"the base URL {_shown(text)!r} holds characters that a URL cannot hold",
            hint="fill in placeholders such as {resource}, and percent-encode the rest",
        )
    _refuse_key_in_query(parts.query)
    _refuse_endpoint(parts)
    host = _host(parts, text)
    port = _port(parts, text)
    authority = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{authority}{parts.path.rstrip('/')}{query}"


def _refuse_key_in_query(query: str) -> None:
    """Refuse a key in the query, because the base URL is stored and shown."""
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if _SECRET_NAME.search(name):
            raise ConfigError(
                f"the base URL carries a secret in its query ({name}=…), and a base URL is stored and shown",
                hint="send it as a header: [provider.headers] in batcher.toml names a variable that holds it",
            )


def _refuse_endpoint(parts: SplitResult) -> None:
    """Refuse the address of one endpoint, as documentation shows it: the path of each row would come after it."""
    path = parts.path.rstrip("/")
    endpoint = next((known for known in _ENDPOINTS if path.endswith(known)), None)
    if endpoint is not None:
        base = shown_base_url(f"{parts.scheme}://{parts.netloc}{path.removesuffix(endpoint)}")
        query = "; keep what follows the ?" if parts.query else ""
        raise ConfigError(
            f"the base URL ends in {endpoint}, the path of one endpoint; each row names its own",
            hint=f"give what stands before it: {base}{query}",
        )


def request_url(base_url: str, path: str) -> str:
    """Return the URL of a request: base URL and path joined as text, then the base URL's query.

    `base_url` is normalized; `path` is a plain path. The base URL replaces `/v1` at the start of a path. Any other
    path is appended to the base URL without its final `/v1`. What that path and the base URL have in common, such
    as GLM's `/v4`, occurs once.
    """
    base, mark, query = base_url.partition("?")
    if path.startswith(_PATH_PREFIX):
        return f"{base}{path[len(_PATH_PREFIX) - 1 :]}{mark}{query}"
    scheme, _, rest = base.partition("://")
    host, *segments = rest.split("/")
    asked = path[1:].split("/")
    shared = _overlap(segments, asked)
    if not shared and segments[-1:] == ["v1"]:
        segments = segments[:-1]
        shared = _overlap(segments, asked)
    joined = "/".join([host, *segments, *asked[shared:]])
    return f"{scheme}://{joined}{mark}{query}"


def _overlap(segments: list[str], asked: list[str]) -> int:
    """Return how many segments at the end of the base URL are also those at the start of the path."""
    most = min(len(segments), len(asked) - 1)
    return next((size for size in range(most, 0, -1) if segments[-size:] == asked[:size]), 0)


def host_of(base_url: str) -> str:
    """Return the host's name or address, in lower case, IPv6 without brackets."""
    return urlsplit(base_url).hostname or ""


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine. 0.0.0.0 and :: count, because a connection to them stays here."""
    name = _bare(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_private(host: str) -> bool:
    """Return whether the host is on a private network, by its address or name alone; nothing is looked up.

    Addresses: RFC 1918, link-local and IPv6 unique local. Names: single labels (of a container or a machine; the
    public DNS has no dotless hosts), `.local`, `.internal` and `.home.arpa`. Carrier-grade NAT does not count.
    """
    name = _bare(host)
    address = _address(name)
    if address is not None:
        return any(address in network for network in _PRIVATE_NETWORKS)
    if not name or is_loopback(name) or _NUMBER_AT_END.search(name):
        return False
    return "." not in name or name.endswith(_PRIVATE_SUFFIXES)


def key_may_travel(base_url: str, allow_http: bool) -> bool:
    """Return whether a key may be sent there: over https; over http to private hosts, or if allowed."""
    if urlsplit(base_url).scheme == "https" or allow_http:
        return True
    host = host_of(base_url)
    return is_loopback(host) or is_private(host)


def _check_text(text: str) -> None:
    if not text:
        raise ConfigError("the base URL is empty", hint=_EXAMPLE)
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ConfigError("the base URL holds white space or a control character", hint="take it out")
    if "#" in text:
        raise ConfigError("the base URL holds a fragment (the part from # on)", hint="take it out")


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ConfigError(f"the base URL {_shown(text)!r} is not a URL", hint=_EXAMPLE) from None


def _host(parts: SplitResult, text: str) -> str:
    """Return the host as it is spelled in a URL. `text` is for the error only."""
    name = parts.hostname or ""
    if not name:
        raise ConfigError(f"the base URL {_shown(text)!r} has no host", hint=_EXAMPLE)
    if _address(name) is None and not _is_name(name):
        raise ConfigError(
            f"the base URL's host {name!r} is neither a name nor an address",
            hint="a name in ASCII (xn--… for other scripts), an IPv4 address of four numbers, or [IPv6]",
        )
    return f"[{IPv6Address(name).compressed}]" if ":" in name else name


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and _NUMBER_AT_END.search(name) is None


def _port(parts: SplitResult, text: str) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ConfigError(f"the base URL {_shown(text)!r} has no valid port", hint="a port is from 1 to 65535")
    return port


def _shown(text: str) -> str:
    """Return the text without what comes before an @, which may be a password, without query and tokens."""
    return shown_base_url(text.partition("?")[0].rpartition("@")[2])


def _bare(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # A zone (%eth0) has no place in a request's URL; a mapped address is the IPv4 address.
        return None if address.scope_id else address.ipv4_mapped or address
    return address
