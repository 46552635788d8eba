"""The table of faults is total: every error has one meaning, with and without anything sent."""

import errno
import resource
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import ContentEncodingError, ContentLengthError

from batcher.domain.states import FaultKind
from batcher.sender.faults import Progress, ReplyTooLarge, describe, kind_of

WHERE = ConnectionKey("host", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)

NOT_SENT = Progress(sent=False, reused=False, answered=False)
FRESH = Progress(sent=True, reused=False, answered=False)
REUSED = Progress(sent=True, reused=True, answered=False)
IN_BODY = Progress(sent=True, reused=True, answered=True)


def connecting(error: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(WHERE, error)


def payload(cause: Exception) -> aiohttp.ClientPayloadError:
    error = aiohttp.ClientPayloadError("Response payload is not completed")
    error.__cause__ = cause
    return error


CLOSED = aiohttp.ServerDisconnectedError()
RESET = aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")
LOOKUP = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
DNS = aiohttp.ClientConnectorDNSError(WHERE, LOOKUP)
UNVERIFIED = ssl.SSLCertVerificationError(1, "certificate verify failed")


@pytest.mark.parametrize(
    ("error", "progress", "kind"),
    [
        (DNS, NOT_SENT, FaultKind.DNS),
        (connecting(OSError(errno.ECONNREFUSED, "")), NOT_SENT, FaultKind.REFUSED),
        (connecting(OSError(errno.EHOSTUNREACH, "")), NOT_SENT, FaultKind.REFUSED),
        (connecting(OSError(errno.ENETUNREACH, "")), NOT_SENT, FaultKind.REFUSED),
        (connecting(OSError("Multiple exceptions: [Errno 111], [Errno 99]")), NOT_SENT, FaultKind.REFUSED),
        (connecting(OSError(errno.ETIMEDOUT, "")), NOT_SENT, FaultKind.CONNECT_TIMEOUT),
        (aiohttp.ConnectionTimeoutError(), NOT_SENT, FaultKind.CONNECT_TIMEOUT),
        (TimeoutError(), NOT_SENT, FaultKind.CONNECT_TIMEOUT),
        (connecting(ConnectionResetError()), NOT_SENT, FaultKind.TLS),
        (aiohttp.ClientConnectorCertificateError(WHERE, UNVERIFIED), NOT_SENT, FaultKind.TLS),
        (aiohttp.ClientConnectorSSLError(WHERE, ssl.SSLError(1, "wrong version")), NOT_SENT, FaultKind.TLS),
        (CLOSED, NOT_SENT, FaultKind.REFUSED),
        *(
            (connecting(OSError(number, "")), NOT_SENT, FaultKind.LOCAL)
            for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
        ),
        (MemoryError(), FRESH, FaultKind.LOCAL),
        (aiohttp.ClientOSError(errno.ENOBUFS, ""), REUSED, FaultKind.LOCAL),
        (TimeoutError(), REUSED, FaultKind.TIMEOUT),
        (aiohttp.SocketTimeoutError(), FRESH, FaultKind.TIMEOUT),
        (CLOSED, FRESH, FaultKind.RESET),
        (RESET, FRESH, FaultKind.RESET),
        (CLOSED, REUSED, FaultKind.STALE_CONNECTION),
        (RESET, REUSED, FaultKind.STALE_CONNECTION),
        (aiohttp.ClientOSError(errno.EPIPE, ""), REUSED, FaultKind.STALE_CONNECTION),
        (
            aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
            REUSED,
            FaultKind.STALE_CONNECTION,
        ),
        (aiohttp.ClientOSError(errno.ETIMEDOUT, ""), REUSED, FaultKind.RESET),
        (CLOSED, IN_BODY, FaultKind.RESET),
        (RESET, IN_BODY, FaultKind.RESET),
        (payload(ContentLengthError("cut")), IN_BODY, FaultKind.RESET),
        (payload(ContentEncodingError("not gzip")), IN_BODY, FaultKind.PROTOCOL),
        (ReplyTooLarge(10), IN_BODY, FaultKind.REPLY_TOO_LARGE),
        (ValueError("unforeseen"), NOT_SENT, FaultKind.PROTOCOL),
        (RuntimeError("unforeseen"), IN_BODY, FaultKind.PROTOCOL),
    ],
)
def test_an_error_has_one_meaning(error: Exception, progress: Progress, kind: FaultKind):
    assert kind_of(error, progress) is kind


@pytest.mark.parametrize("error", [CLOSED, RESET, RuntimeError("Session is closed")])
def test_our_own_end_is_a_local_fault(error: Exception):
    assert kind_of(error, Progress(sent=True, reused=True, answered=False, closing=True)) is FaultKind.LOCAL


def test_a_lookup_that_fails_for_want_of_a_file_is_a_local_fault():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        lowest = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        kind = kind_of(DNS, NOT_SENT)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert kind is FaultKind.LOCAL


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize(
    "error", [DNS, CLOSED, RESET, payload(ContentLengthError("cut")), KeyError("x"), OSError()]
)
def test_every_kind_can_be_told_of_every_error(kind: FaultKind, error: Exception):
    message = describe(kind, error, "host:443", 600)
    assert message
    assert "\n" not in message


def test_a_parsers_message_is_told_without_the_bytes_it_could_not_read():
    error = payload(ContentLengthError("Invalid character:\n\n  b'Authorization: secret'\n  ^"))
    told = describe(FaultKind.PROTOCOL, error, "host:443", 600)
    assert told == "the reply from host:443 cannot be read: Invalid character"
