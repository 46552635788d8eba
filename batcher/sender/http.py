"""Sends requests with aiohttp: one session, one endpoint, one key."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from multidict import CIMultiDict
from yarl import URL

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.states import FaultKind
from batcher.policy.privacy.redact import redact, redact_text
from batcher.policy.urls import request_url
from batcher.ports import Clock
from batcher.sender.body import RequestBody
from batcher.sender.connect import open_pool, proxy_of
from batcher.sender.faults import (
    Progress,
    describe,
    is_undecodable,
    is_unknown_host,
    kind_of,
    lacks_descriptor,
)
from batcher.sender.reading import ReplyReader
from batcher.sender.target import Target, request_headers, secrets_of

#: Seconds for one address to accept, including its TLS handshake; and for everything before a request can be
#: sent: name lookup, every address, the proxy.
_CONNECT_ONE, _CONNECT_ALL = 10.0, 30.0
#: Seconds that a long reply waits at most while others are read.
_PATIENCE = 10.0
#: How a body begins that is still packed. No JSON does.
_GZIP = b"\x1f\x8b"
#: Headers of one reply. The default of 128 would reject gateways that repeat each header of the provider.
_MAX_HEADERS = 1_000
#: Bytes of one header. The default of 8 KiB would reject the replies of some gateways.
_MAX_FIELD = 1 << 16


class HttpSender:
    """Sends to one target. Use it with `async with`, in the event loop that sends.

    Entering raises ConfigError if the proxy or the file of certificates cannot be used.
    """

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._headers = request_headers(target)
        self._secrets = secrets_of(target)
        self._urls: dict[str, URL] = {}
        self._replies = ReplyReader(target.max_reply, patience=min(_PATIENCE, target.timeout / 4))

    async def __aenter__(self) -> Self:
        target = self._target
        self._loop = asyncio.get_running_loop()
        self._proxy = proxy_of(target.base_url) if target.use_proxy else None
        self._where = _where(target.base_url, self._proxy)
        self._pool = open_pool(target.base_url, target.ca_file)
        # The session gets no headers, because aiohttp would send them to the proxy as well, including the key.
        self._session = ClientSession(
            connector=self._pool,
            timeout=ClientTimeout(total=target.timeout, connect=_CONNECT_ALL, sock_connect=_CONNECT_ONE),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_HEADERS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        """See `ports.Sender`. The key is redacted from replies and messages."""
        headers = CIMultiDict(self._headers)
        headers["X-Client-Request-Id"] = client_request_id
        payload = RequestBody(body, self._pool.served)
        response: ClientResponse | None = None
        sent_at = self._clock.now()
        began = self._loop.time()
        try:
            url = self._urls.get(path) or self._remember(path)
            response = await self._session.post(
                url, data=payload, headers=headers, proxy=self._proxy, allow_redirects=False
            )
            data = await self._replies.read(response)
        except Exception as error:  # noqa: BLE001 # the port's promise: only cancellation passes through
            return self._fault(error, payload, response, sent_at, began)
        finally:
            # After a complete reply the connection is back in the pool. After any other it is closed.
            if response is not None:
                response.release()
        if data.startswith(_GZIP):
            self._ask_for_plain_bodies()
        return Reply(
            status=response.status,
            headers=_clean_headers(response.headers.items(), self._secrets),
            body=redact(data, self._secrets),
            sent_at=sent_at,
            ended_at=max(sent_at, self._clock.now()),
            latency_us=self._since(began),
        )

    def _remember(self, path: str) -> URL:
        url = self._urls[path] = URL(request_url(self._target.base_url, path), encoded=True)
        return url

    def _fault(
        self, error: Exception, body: RequestBody, response: ClientResponse | None, sent_at: int, began: float
    ) -> TransportFault:
        if is_undecodable(error):
            self._ask_for_plain_bodies()
        progress = Progress(
            sent=body.started,
            reused=body.reused,
            answered=response is not None,
            closing=self._session.closed,
        )
        kind = kind_of(error, progress)
        message = describe(kind, error, self._where, self._target.timeout)
        return TransportFault(
            kind=kind,
            message=redact_text(message, self._secrets),
            sent_at=sent_at,
            ended_at=max(sent_at, self._clock.now()),
            latency_us=self._since(began),
            sent=body.started,
            unknown_host=kind is FaultKind.DNS and is_unknown_host(error),
            no_descriptor=kind is FaultKind.LOCAL and lacks_descriptor(error),
        )

    @property
    def key_place(self) -> str:
        """Where the key is, if a header of one's own carries it."""
        return self._target.key_place

    @property
    def missing_key(self) -> str:
        """The variable that holds no key, so that none is sent."""
        return self._target.missing_key

    def _ask_for_plain_bodies(self) -> None:
        """Accept no compression from now on.

        Some proxies unpack a reply and keep its Content-Encoding, or pack it twice.
        """
        self._headers["Accept-Encoding"] = "identity"

    def _since(self, began: float) -> int:
        return round((self._loop.time() - began) * 1_000_000)


def _clean_headers(items: Iterable[tuple[str, str]], secrets: tuple[bytes, ...]) -> dict[str, str]:
    """Return lower-case names; for a repeated header, the first value."""
    headers: dict[str, str] = {}
    for name, value in items:
        headers.setdefault(name.lower(), value)
    together = "\n".join(headers.values())
    if redact_text(together, secrets) is together:
        return headers
    return {name: redact_text(value, secrets) for name, value in headers.items()}


def _where(base_url: str, proxy: URL | None) -> str:
    """Return the peer as messages name it: no path, no query, no proxy password."""
    url = URL(base_url, encoded=True)
    peer = f"{url.host_subcomponent}:{url.port}"
    return peer if proxy is None else f"{peer} (through the proxy {proxy.host_subcomponent}:{proxy.port})"
