"""Why no complete reply arrived: a table that covers every error of aiohttp and the system.

Two questions decide: was anything sent, and what kind of error is it? The messages for people are written here,
because the errors' own texts contain URLs, headers and raw bytes of the reply.
"""

import errno
import os
import socket
import ssl

from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientResponseError,
    ServerDisconnectedError,
)
from aiohttp.http_exceptions import ContentEncodingError
from msgspec import Struct

from batcher.domain.states import FaultKind
from batcher.sender.proxies import proxy_variable

_LOGIN_REQUIRED = 407
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
_LOCAL = frozenset({*_NO_DESCRIPTOR, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
#: The peer closed the connection. While a connection is being made, this can only happen in its TLS handshake.
_HANG_UPS = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
#: How a closed connection is reported: as the end of the stream (no number), or as one of these.
_CLOSED = frozenset({None, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN})

_UNKNOWN_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

_MESSAGES = {
    FaultKind.DNS: "the host of {where} cannot be found: {reason}",
    FaultKind.REFUSED: "cannot connect to {where}: {reason}",
    FaultKind.TLS: "TLS with {where} failed: {reason}",
    FaultKind.CONNECT_TIMEOUT: "no connection to {where} in time",
    FaultKind.TIMEOUT: "no complete reply from {where} within {timeout:g} s",
    FaultKind.RESET: "{where} closed the connection before a complete reply: {reason}",
    FaultKind.STALE_CONNECTION: "{where} closed a kept-alive connection before it replied",
    FaultKind.REPLY_TOO_LARGE: "the reply from {where} is {reason}",
    FaultKind.PROTOCOL: "the reply from {where} cannot be read: {reason}",
    FaultKind.LOCAL: "this machine could not send: {reason}",
}


class ReplyTooLarge(Exception):
    """The reply's body is larger than the cap; raised by the sender itself with the cap in bytes."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far an exchange had proceeded when it failed."""

    #: Bytes of the request were written to a connection.
    sent: bool
    #: That connection had carried a request before.
    reused: bool
    #: The head of the reply had arrived.
    answered: bool
    #: The sender itself is being closed.
    closing: bool = False


def kind_of(error: Exception, progress: Progress) -> FaultKind:
    """Return what the error means.

    Unknown errors count as protocol errors: each uses an attempt, so retries end.
    """
    if progress.closing or _is_local(error):
        return FaultKind.LOCAL
    if isinstance(error, ReplyTooLarge):
        return FaultKind.REPLY_TOO_LARGE
    return _kind_of_exchange(error, progress) if progress.sent else _kind_of_connecting(error)


def is_unknown_host(error: Exception) -> bool:
    """Return whether a lookup found that there is no such host; a name server that fails says something else."""
    cause = error.os_error if isinstance(error, ClientConnectorError) else error
    return isinstance(cause, socket.gaierror) and cause.errno in _UNKNOWN_HOST


def is_undecodable(error: BaseException) -> bool:
    """Return whether the body is not encoded as its Content-Encoding says, or in a way that was not accepted."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ContentEncodingError):
            return True
        seen = seen.__cause__
    return False


def describe(kind: FaultKind, error: Exception, where: str, timeout: float) -> str:
    """Return the message for people. `where` is the peer's host and port, `timeout` the attempt's seconds."""
    return _MESSAGES[kind].format(where=where, reason=_reason(error), timeout=timeout)


def _is_local(error: Exception) -> bool:
    if isinstance(error, MemoryError) or _number(error) in _LOCAL:
        return True
    return lacks_descriptor(error)


def lacks_descriptor(error: Exception) -> bool:
    """Return whether no file could be opened for the request."""
    return _number(error) in _NO_DESCRIPTOR or (isinstance(error, ClientConnectorDNSError) and _no_socket_left())


def _no_socket_left() -> bool:
    """Return whether a lookup failed because no file could be opened.

    Glibc reports that as a temporary failure of the name server.
    """
    try:
        socket.socket().close()
    except OSError:
        return True
    return False


def _kind_of_connecting(error: Exception) -> FaultKind:
    if isinstance(error, ClientConnectorDNSError):
        return FaultKind.DNS
    if isinstance(error, ssl.SSLError):
        return FaultKind.TLS
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, (ssl.SSLError, *_HANG_UPS)):
        return FaultKind.TLS
    if isinstance(error, TimeoutError) or _number(error) == errno.ETIMEDOUT:
        return FaultKind.CONNECT_TIMEOUT
    if isinstance(error, (ClientHttpProxyError, ServerDisconnectedError, OSError)):
        return FaultKind.REFUSED
    return FaultKind.PROTOCOL


def _kind_of_exchange(error: Exception, progress: Progress) -> FaultKind:
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT
    if isinstance(error, ClientPayloadError):
        return FaultKind.PROTOCOL if is_undecodable(error) else FaultKind.RESET
    if isinstance(error, (ServerDisconnectedError, OSError)):
        stale = progress.reused and not progress.answered and _closed_before_reply(error)
        return FaultKind.STALE_CONNECTION if stale else FaultKind.RESET
    return FaultKind.PROTOCOL


def _closed_before_reply(error: Exception) -> bool:
    """Return whether the peer closed without sending a byte.

    If a reply had begun, aiohttp's error carries its head.
    """
    if isinstance(error, ServerDisconnectedError):
        return isinstance(error.message, str)
    return _number(error) in _CLOSED


def _number(error: Exception) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _reason(error: Exception) -> str:
    """Return the cause in a few words: the system's, or the parser's without the bytes that it could not read."""
    if isinstance(error, ClientHttpProxyError):
        # Only an https:// URL needs a tunnel, which the proxy can refuse.
        login = f": put its user and password into {proxy_variable('https')}"
        return f"the proxy answered {error.status}{login if error.status == _LOGIN_REQUIRED else ''}"
    if is_undecodable(error):
        return "its body is not encoded as its Content-Encoding says"
    if isinstance(error, ClientResponseError):
        return _before_bytes(error.message) or "it is not HTTP"
    if isinstance(error, ClientPayloadError):
        cause = error.__cause__
        return _before_bytes(str(cause)) if cause is not None else "it is cut"
    if isinstance(error, ClientConnectorError):
        return _system_reason(error.os_error)
    return _system_reason(error) if isinstance(error, OSError) else _plain_reason(error)


def _before_bytes(text: str) -> str:
    """Return the parser's message up to the bytes that it quotes."""
    return text.rpartition("message:")[2].strip().partition(":")[0].strip()


def _system_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "the certificate cannot be verified"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the handshake failed").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return error.strerror or "the lookup failed"
    return os.strerror(error.errno) if error.errno else "the connection broke"


def _plain_reason(error: Exception) -> str:
    if isinstance(error, ReplyTooLarge):
        return f"larger than {error} bytes"
    return "nothing more came" if isinstance(error, ServerDisconnectedError) else type(error).__name__
