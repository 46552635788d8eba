"""A request on its way: the checked line of a job file, and the claim a worker holds."""

from msgspec import Struct

from batcher.domain.ids import JobId, RequestId, RouteId


class ParsedLine(Struct, frozen=True, kw_only=True):
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
    line: int
    custom_id: str
    path: str
    model: str
    #: The number of this sending, from 1.
    send: int
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
