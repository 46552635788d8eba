"""Tests the connection to an endpoint step by step.

Name, connection, TLS; and a GET, which only `batcher doctor` sends.

With a proxy, the first two steps test the connection to the proxy, and TLS is tested through its tunnel.
"""

import base64
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from aiohttp import ClientResponse
from msgspec import Struct
from yarl import URL

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.states import FaultKind
from batcher.policy.privacy.redact import redact
from batcher.sender.body import RequestBody
from batcher.sender.connect import proxy_of, tls_context
from batcher.sender.faults import describe
from batcher.sender.http import HttpSender, _clean_headers

#: Seconds for one address to accept, and for a handshake; the same as in a run.
_PATIENCE: Final = 10.0
#: Addresses that are tried and shown.
_MOST_ADDRESSES: Final = 4
_MOST_OF_A_HEAD: Final = 1 << 16
_CONNECTED: Final = range(200, 300)


class ConnectionStep(Struct, frozen=True, kw_only=True):
    """One step: dns, tcp or tls. If `ok` is None, it was not tried and `evidence` says why."""

    name: str
    ok: bool | None
    seconds: float
    evidence: str
    #: What failed, if `ok` is False.
    fault: FaultKind | None = None


class DiagnosticSender(HttpSender):
    """A sender that can also send requests without a body."""

    async def get(self, path: str) -> Reply | TransportFault:
        """Send a GET for a path under `/v1/`; otherwise like `send`."""
        nothing = RequestBody(b"", self._pool.served)
        response: ClientResponse | None = None
        sent_at, began = self._clock.now(), self._loop.time()
        try:
            response = await self._session.get(
                self._remember(path), data=nothing, headers=self._headers, proxy=self._proxy, allow_redirects=False
            )
            data = await self._replies.read(response)
        except Exception as error:  # noqa: BLE001 # the port's promise: only cancellation passes through
            return self._fault(error, nothing, response, sent_at, began)
        finally:
            if response is not None:
                response.release()
        return Reply(
            status=response.status,
            headers=_clean_headers(response.headers.items(), self._secrets),
            body=redact(data, self._secrets),
            sent_at=sent_at,
            ended_at=max(sent_at, self._clock.now()),
            latency_us=self._since(began),
        )


def check_connection(
    base_url: str, *, ca_file: str | None, use_proxy: bool
) -> tuple[ConnectionStep, ConnectionStep, ConnectionStep]:
    """Test dns, tcp and tls, in this order; the steps after a failed one are not tried. Blocks for seconds.

    Raises ConfigError if the proxy or the file of certificates cannot be used.
    """
    target = URL(base_url, encoded=True)
    proxy = proxy_of(base_url) if use_proxy else None
    context = tls_context(ca_file) if target.scheme == "https" else None
    dns, addresses = _look_up(target if proxy is None else proxy, proxied=proxy is not None)
    if not addresses:
        return dns, _not_tried("tcp", "dns failed"), _not_tried("tls", "dns failed")
    tcp, connection = _connect(target if proxy is None else proxy, addresses, proxied=proxy is not None)
    if connection is None:
        return dns, tcp, _not_tried("tls", "tcp failed")
    with closing(connection):
        return dns, tcp, _tls(connection, target, proxy, context)


def host_and_port(url: URL) -> str:
    """Return host and port, without path, query and password."""
    return f"{url.host_subcomponent}:{url.port}"


def _look_up(url: URL, *, proxied: bool) -> tuple[ConnectionStep, list[tuple[str, int]]]:
    """Return the result of the lookup, and the socket addresses in the resolver's order."""
    began = time.perf_counter()
    host, port = url.raw_host or "", url.port or 0
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return _failed("dns", began, FaultKind.DNS, error, host_and_port(url), proxied=proxied), []
    addresses = list(dict.fromkeys((str(info[4][0]), port) for info in found))[:_MOST_ADDRESSES]
    named = ", ".join(address for address, _ in addresses)
    whose = "the proxy " if proxied else ""
    return _climbed("dns", began, f"{whose}{host}: {named}"), addresses


def _connect(
    url: URL, addresses: Sequence[tuple[str, int]], *, proxied: bool
) -> tuple[ConnectionStep, socket.socket | None]:
    began = time.perf_counter()
    last: OSError = TimeoutError()
    for address in addresses:
        try:
            connection = socket.create_connection(address, timeout=_PATIENCE)
        except OSError as error:
            last = error
            continue
        whose = f"to the proxy {host_and_port(url)}, at " if proxied else "to "
        return _climbed("tcp", began, f"connected {whose}{address[0]} port {address[1]}"), connection
    kind = FaultKind.CONNECT_TIMEOUT if isinstance(last, TimeoutError) else FaultKind.REFUSED
    return _failed("tcp", began, kind, last, host_and_port(url), proxied=proxied), None


def _tls(
    connection: socket.socket, target: URL, proxy: URL | None, context: ssl.SSLContext | None
) -> ConnectionStep:
    if context is None:
        return _not_tried("tls", "plain http: nothing is encrypted")
    if proxy is not None and proxy.scheme == "https":
        return _not_tried(
            "tls", f"made inside the proxy's own TLS ({host_and_port(proxy)}); `models` shows how it went"
        )
    began = time.perf_counter()
    through = "" if proxy is None else f" (through the proxy {host_and_port(proxy)})"
    where = f"{host_and_port(target)}{through}"
    refused = None if proxy is None else _tunnel(connection, target, proxy)
    if refused is not None:
        evidence = f"the proxy {refused}"
        return ConnectionStep(
            name="tls", ok=False, seconds=_since(began), evidence=evidence, fault=FaultKind.REFUSED
        )
    try:
        with context.wrap_socket(connection, server_hostname=target.raw_host) as encrypted:
            return _climbed("tls", began, _certificate(encrypted) + through)
    except OSError as error:
        kind = FaultKind.CONNECT_TIMEOUT if isinstance(error, TimeoutError) else FaultKind.TLS
        return _failed("tls", began, kind, error, where, proxied=False)


def _tunnel(connection: socket.socket, target: URL, proxy: URL) -> str | None:
    """Ask the proxy for a tunnel; returns its refusal, or None."""
    lines = [f"CONNECT {host_and_port(target)} HTTP/1.1", f"Host: {host_and_port(target)}"]
    if proxy.user is not None:
        login = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    head = b""
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in head and len(head) < _MOST_OF_A_HEAD:
            # One byte at a time, because what follows the head belongs to the handshake.
            byte = connection.recv(1)
            if not byte:
                return "closed the connection"
            head += byte
    except OSError as error:
        return f"did not answer: {error.strerror or 'no reply in time'}"
    status = head.split(b" ", 2)[1:2]
    code = int(status[0]) if status and status[0].isdigit() else 0
    return None if code in _CONNECTED else f"answered {code or 'no HTTP'}"


def _certificate(encrypted: ssl.SSLSocket) -> str:
    """Return the protocol, the issuer of the certificate and its end of validity.

    A company's TLS proxy becomes visible here.
    """
    certificate = encrypted.getpeercert() or {}
    issuer = {str(part[0][0]): str(part[0][1]) for part in certificate.get("issuer", ()) if part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed issuer"
    return f"{encrypted.version()}, certificate by {by}, valid until {certificate.get('notAfter', 'unknown')}"


def _climbed(name: str, began: float, evidence: str) -> ConnectionStep:
    return ConnectionStep(name=name, ok=True, seconds=_since(began), evidence=evidence)


def _not_tried(name: str, why: str) -> ConnectionStep:
    return ConnectionStep(name=name, ok=None, seconds=0.0, evidence=why)


def _failed(
    name: str, began: float, kind: FaultKind, error: Exception, where: str, *, proxied: bool
) -> ConnectionStep:
    peer = f"the proxy {where}" if proxied else where
    evidence = describe(kind, error, peer, _PATIENCE)
    return ConnectionStep(name=name, ok=False, seconds=_since(began), evidence=evidence, fault=kind)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)
