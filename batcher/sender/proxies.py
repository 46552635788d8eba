"""Finds the proxy that the environment names for an endpoint, and the variable that names it. Opens nothing."""

import os
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from batcher.domain.errors import ConfigError

_SCHEMES: Final = ("http", "https")
_PORTS: Final = {"http": 80, "https": 443}


class NamedProxy(Struct, frozen=True, kw_only=True):
    """A proxy's URL as it is written, and the variable that holds it."""

    text: str
    variable: str


def named_proxy(base_url: str) -> NamedProxy | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for the URL's origin.

    Loopback uses it too, as with curl.
    """
    url = urlsplit(base_url)
    proxies = getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text or proxy_bypass(f"{url.hostname}:{url.port or _PORTS.get(url.scheme)}"):
        return None
    return NamedProxy(text=text, variable=proxy_variable(url.scheme))


def check_proxy(base_url: str) -> None:
    """Raise ConfigError if the proxy for this URL cannot be used: only http(s) proxies can."""
    proxy = named_proxy(base_url)
    if proxy is None:
        return
    scheme, separator, _ = proxy.text.partition("://")
    address = _split(proxy.text if separator else f"http://{proxy.text}")
    if address and (not separator or scheme.lower() in _SCHEMES):
        return
    names = f"a {scheme.lower()}:// proxy" if address and scheme.isalnum() else "no proxy's URL"
    host = urlsplit(base_url).hostname
    raise ConfigError(
        f"{proxy.variable} names {names}; only http:// and https:// proxies can be used",
        hint=f"set {proxy.variable} to such a proxy, unset it, or put {host} in NO_PROXY",
    )


def _split(text: str) -> str | None:
    """Return the host; None if the text is not a URL."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


def proxy_variable(scheme: str) -> str:
    """Return the name of the variable that applies to URLs of this scheme; lower case wins, as in urllib."""
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name)), "the system's proxy setting")
