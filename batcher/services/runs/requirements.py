"""What this process needs to send a job's requests: a key, the values of headers, a proxy that can be used."""

from collections.abc import Mapping

from batcher.config import find_headers, find_key
from batcher.domain.settings import JobSettings
from batcher.policy.urls import host_of, is_loopback
from batcher.sender.proxies import check_proxy, named_proxy


def check_can_send(settings: JobSettings, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the key or the value of a header is missing, or if the proxy is unusable."""
    if not settings.simulate:
        check_proxy(settings.base_url)
        find_key(settings, environ)
        find_headers(settings, environ)


def proxy_to_this_machine(settings: JobSettings) -> tuple[str, str] | None:
    """Return the host and the proxy's variable if a server of this machine is reached through a proxy, else None.

    Most proxies cannot reach it.
    """
    proxy = None if settings.simulate else named_proxy(settings.base_url)
    host = host_of(settings.base_url)
    return (host, proxy.variable) if proxy is not None and is_loopback(host) else None
