"""A request on its way: the checked line of a job file, and the claim a worker holds."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from batcher.domain.ids import EndpointId, JobId, RequestId, RouteId


class ParsedLine(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a job file that passed the door.

    `path` is a plain path under `/v1/`, normalized (`/chat/completions` becomes `/v1/chat/completions`). `body`
    is the request's JSON as the file spells it. `est_input` and `est_output` are tokens.
    """

    #: Physical line in the file, from 1.
    line: int
    custom_id: str
    path: str
    #: "" where the endpoint needs none and none is given.
    model: str
    body: bytes
    est_input: int
    est_output: int
    #: Whether the same body gives the same answer: embeddings, moderations, temperature 0 or a seed.
    deterministic: bool


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """A checked line and its fingerprint; None: it shares its answer with no other row."""

    parsed: ParsedLine
    fingerprint: bytes | None


class BadLine(Struct, frozen=True, kw_only=True):
    """A line that was refused at the door: what is wrong and how to mend it."""

    line: int
    reason: str
    #: The line itself, cut, for the errors file of `--skip-invalid`.
    text: str
    #: The line's custom_id where one could be read.
    custom_id: str | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """A request that a holder has claimed. `send` fences its settlement: (holder, send) must still match."""

    request_id: RequestId
    job_id: JobId
    route_id: RouteId
    endpoint_id: EndpointId
    line: int
    custom_id: str
    path: str
    model: str
    #: The number of this sending, from 1.
    send: int
    #: Sendings before a person put it back last: they count for nothing any more.
    sends_before: int = 0
    #: Attempts spent so far; compared with `max_attempts`.
    spent: int
    #: Holders that died with it.
    lost: int
    #: Timeouts of sent requests so far: each may have been billed.
    timeouts: int
    revision: int
    est_input: int
    est_output: int
    body: bytes


class Route(Struct, frozen=True, kw_only=True):
    """What requests of a job ask for: (job, path, model). What is claimed by."""

    id: RouteId
    job_id: JobId
    path: str
    model: str
    endpoint_id: EndpointId
    #: Whether answers of earlier jobs serve this one.
    reuse_earlier: bool


class Want(Struct, frozen=True, kw_only=True):
    """How many requests of a route a worker can take now."""

    route: Route
    most: int


class SettledIds(Struct, kw_only=True):
    """Requests of one job that reached their end in one transaction, followers included. Filled while it runs."""

    job_id: JobId
    completed: list[RequestId] = field(default_factory=list)
    dead_lettered: list[RequestId] = field(default_factory=list)
    #: How many of `completed` were answered without a request of their own.
    cached: int = 0


class Claimed(Struct, frozen=True, kw_only=True):
    """What a claim brought: requests to send, and those that were answered from the cache on the way."""

    claims: Sequence[Claim]
    settled: Sequence[SettledIds]
    #: Of routes that gave less than was wanted: when their next request is due (UTC µs), None: nothing waits.
    next_due: Mapping[RouteId, int | None]
