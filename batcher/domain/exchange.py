"""The raw result of an attempt: what came back over HTTP, or why nothing did."""

from collections.abc import Mapping

from msgspec import Struct

from batcher.domain.states import FaultKind


class Reply(Struct, frozen=True, kw_only=True):
    """A whole HTTP reply, whatever its status. Times are microseconds; `sent_at` and `ended_at` are UTC."""

    status: int
    #: Names in lower case; for a repeated header the first value.
    headers: Mapping[str, str]
    #: Decoded from its content encoding, otherwise the provider's own bytes.
    body: bytes
    sent_at: int
    ended_at: int
    latency_us: int


class TransportFault(Struct, frozen=True, kw_only=True):
    """No complete HTTP reply arrived. `message` carries no header and no key."""

    kind: FaultKind
    message: str
    sent_at: int
    ended_at: int
    latency_us: int
    #: Whether the provider may have seen the request (and billed it).
    sent: bool
    #: No name server knows the host: its name is wrong, or this machine is not connected.
    unknown_host: bool = False
    #: There was no file descriptor left for it: too many requests are in flight.
    no_descriptor: bool = False
