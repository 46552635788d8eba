"""A request on its way: the valid line of a job file, the claim that a worker holds, the row that has ended."""

import sys
from collections.abc import Mapping, Sequence

from msgspec import Struct

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import EndpointId, HolderId, JobId, RequestId, RouteId
from batcher.domain.messages import Words
from batcher.domain.states import AnswerMark


class ParsedLine(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One valid line of a job file.

    `path` is a plain path, normalized (`/chat/completions` becomes `/v1/chat/completions`). `body` is the
    request's JSON as the file spells it. `est_input` and `est_output` are tokens.
    """

    #: Physical line number in the file, from 1.
    line: int
    custom_id: str
    path: str
    #: "" if the endpoint needs no model and none is given.
    model: str
    body: bytes
    est_input: int
    est_output: int
    #: Whether the same body always gives the same answer: embeddings, moderations, temperature 0 or a seed.
    deterministic: bool
    #: What is probably not meant as it is (`policy.input.row_notes`).
    notes: tuple[str, ...] = ()


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """A valid line and its fingerprint; None: it shares its answer with no other row."""

    parsed: ParsedLine
    fingerprint: bytes | None


class BadLine(Struct, frozen=True, kw_only=True):
    """An invalid line: what is wrong and how to fix it."""

    line: int
    reason: str
    #: The line itself, truncated, for the errors file of `--skip-invalid`.
    text: str
    #: The line's custom_id if it could be read.
    custom_id: str | None = None
    #: What kind of line it is, if there is advice for its kind (`policy.input.foreign_forms.Form`).
    form: str | None = None
    #: The keys of a data row; of a line without an endpoint, a likely one.
    keys: tuple[str, ...] = ()


class BadLines(Struct, kw_only=True):
    """Invalid lines with the same reason."""

    reason: str
    #: The numbers of the first ones, if so few are each shown on a line of their own.
    lines: list[int]
    last: int
    count: int

    def texts(self, source: str) -> list[tuple[int, str]]:
        """Return `FILE:LINE: reason` for each of a few lines, with its number; for many, one with their range."""
        if self.count <= len(self.lines):
            return [(line, f"{source}:{line}: {self.reason}") for line in self.lines]
        first = self.lines[0]
        all_of_them = self.last - first + 1 == self.count
        which = f"{self.count:,} lines" if all_of_them else f"{self.count:,} of these lines"
        return [(first, f"{source}:{first}-{self.last}: {self.reason} ({which})")]


class ForeignLines(Struct, frozen=True, kw_only=True):
    """Lines of a file in another form: how many, and what to do about them."""

    form: str
    count: int
    first_line: int
    reason: str
    hint: Words


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
    #: The number of this attempt, from 1.
    send: int
    #: Attempts before the last redrive: they count against no limit any more.
    sends_before: int = 0
    #: Attempts used so far; compared with `max_attempts`.
    attempts_used: int
    #: How many holders died while they held it.
    lost: int
    #: Timeouts of sent requests so far: the provider may have billed each.
    timeouts: int
    revision: int
    est_input: int
    est_output: int
    body: bytes


class Route(Struct, frozen=True, kw_only=True):
    """(job, path, model): the unit by which requests are claimed."""

    id: RouteId
    job_id: JobId
    path: str
    model: str
    endpoint_id: EndpointId
    #: The endpoint whose answers it shares.
    cache_scope: EndpointId
    #: Whether answers of earlier jobs may serve this one.
    reuse_earlier: bool
    #: A cached answer with one of these marks does not serve it: the row is sent.
    refuses: AnswerMark = AnswerMark(0)


class RouteHistory(Struct, frozen=True, kw_only=True):
    """What the store knows of a route from earlier runs."""

    #: Whether its endpoint has answered a request of it.
    answered: bool = False
    #: Causes of failures that a person confirmed by resuming after a pause for them.
    confirmed: frozenset[str] = frozenset()


class RouteDemand(Struct, frozen=True, kw_only=True):
    """How many requests of a route a worker can take now."""

    route: Route
    most: int
    #: Most bytes of bodies, although the first request of a claim is taken whatever its size. 0: none is taken;
    #: only those whose answer is known are settled.
    most_bytes: int = sys.maxsize


class ClaimResult(Struct, frozen=True, kw_only=True):
    """The result of a claim: requests to send, and requests that were answered from the cache on the way."""

    claims: Sequence[Claim]
    settled: Sequence[RequestsSettled]
    #: For routes that gave less than was wanted: when their next request is due (UTC µs); None: none is waiting.
    next_due: Mapping[RouteId, int | None]


class SentClaims(Struct, frozen=True, kw_only=True):
    """Which of one holder's claims had been sent and were not settled."""

    holder: HolderId
    sends: frozenset[tuple[RequestId, int]]


class Answered(Struct, frozen=True, kw_only=True):
    """A completed request and its answer."""

    request_id: RequestId
    line: int
    custom_id: str
    #: How often the provider has seen it.
    attempts: int
    cached: bool
    status: int
    provider_request_id: str | None
    latency_us: int
    body: bytes
    input_tokens: int | None
    output_tokens: int | None
    marks: AnswerMark
    #: (job, custom_id) of the request that was sent for it, if `cached`.
    answered_by: tuple[JobId, str] | None


class Dead(Struct, frozen=True, kw_only=True):
    """A dead letter and its last reply (its leader's, if it was never sent itself)."""

    request_id: RequestId
    line: int
    custom_id: str
    #: How often the provider has seen it.
    attempts: int
    kind: str
    code: str
    message: str
    status: int | None
    provider_request_id: str | None
    latency_us: int
    reply: bytes | None


class CancelledRow(Struct, frozen=True, kw_only=True):
    """A request that was cancelled before it was answered."""

    request_id: RequestId
    line: int
    custom_id: str
    attempts: int


class Filters(Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; None: any."""

    job: JobId | None = None
    kind: str | None = None
    code: str | None = None
    status: int | None = None
    requests: tuple[RequestId, ...] = ()
