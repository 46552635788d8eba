"""Makes connections: sockets, the certificates that are trusted, and the proxy."""

import socket
import ssl
from asyncio import BaseProtocol
from weakref import WeakSet

from aiohttp import ClientRequest, ClientTimeout, ThreadedResolver
from aiohttp.connector import AddrInfoType, Connection, TCPConnector
from aiohttp.tracing import Trace
from yarl import URL

from batcher.domain.errors import ConfigError
from batcher.domain.messages import Cause
from batcher.sender.proxies import check_proxy, named_proxy

#: Seconds that an idle connection is kept. Longer than most pauses that a rate limit causes.
_KEEP_ALIVE = 30.0
#: A peer that vanishes while the model computes is noticed after 30 + 4 · 15 seconds. macOS calls the first option
#: TCP_KEEPALIVE. Options that a system does not have are skipped.
_PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Pool(TCPConnector):
    """The connections to one endpoint: as many as there are requests in flight, kept alive."""

    def __init__(self, trust: ssl.SSLContext | bool) -> None:
        super().__init__(
            limit=0,
            ssl=trust,
            keepalive_timeout=_KEEP_ALIVE,
            socket_factory=open_socket,
            resolver=ThreadedResolver(),
        )
        #: Connections that have carried a request; each request adds its own.
        self.served: WeakSet[BaseProtocol] = WeakSet()

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 # the base class's
    ) -> Connection:
        """Return a connection on which no unread data waits.

        aiohttp would take data that a server sent on an idle connection for the reply to the next request
        (measured).
        """
        connection = await super().connect(req, traces, timeout)
        while self._has_spoken(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection

    def _has_spoken(self, connection: Connection) -> bool:
        protocol = connection.protocol
        return protocol is not None and protocol.should_close and protocol in self.served


def open_pool(base_url: str, ca_file: str | None) -> Pool:
    """Create the pool of an endpoint. Raises ConfigError if `ca_file` contains no certificates."""
    return Pool(tls_context(ca_file) if base_url.startswith("https:") else True)


def open_socket(info: AddrInfoType) -> socket.socket:
    """Create a socket that notices when its peer is gone."""
    family, kind, protocol, _, _ = info
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _PROBES.items():
        option = getattr(socket, name, None)
        if option is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return opened


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Create a context that verifies certificates and names.

    It trusts only `ca_file` if one is given, else what SSL_CERT_FILE or the system names.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"no certificates can be read from {ca_file}: {error.strerror or error}",
            hint=Cause.CA_FILE_FORM(),
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def proxy_of(base_url: str) -> URL | None:
    """Return the proxy that the environment names for the URL's origin.

    Raises ConfigError if it is not an http(s) URL.
    """
    proxy = named_proxy(base_url)
    if proxy is None:
        return None
    check_proxy(base_url)
    try:
        return URL(proxy.text if "://" in proxy.text else f"http://{proxy.text}")
    except ValueError as error:
        raise ConfigError(f"{proxy.variable} does not hold a URL", hint=f"correct {proxy.variable}") from error
