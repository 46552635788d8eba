"""What a caller gets: for a row, and for a job."""

from typing import Any

import msgspec
from msgspec import Struct

from batcher.store.reports.results import Answered, Dead


class JobHandle(Struct, frozen=True, kw_only=True):
    """A stored job: what `submit` gives and `run` takes."""

    id: int
    name: str
    total: int
    #: False: it was there already, and goes on where it stopped.
    is_new: bool


class ResultError(Struct, frozen=True, kw_only=True):
    """Why a row is a dead letter."""

    code: str
    message: str
    kind: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Result(Struct, frozen=True, kw_only=True):
    """A row at its end. Of a dead letter `error` is set, and `body` is the provider's last reply, if any."""

    custom_id: str
    #: Physical line in the file, from 1.
    line: int
    error: ResultError | None
    status_code: int | None
    #: The provider's own bytes.
    body: bytes | None
    #: Whether it was answered without a request of its own.
    cached: bool
    attempts: int
    provider_request_id: str | None
    latency_seconds: float
    input_tokens: int | None = None
    output_tokens: int | None = None

    def json(self) -> Any:  # noqa: ANN401 - whatever the provider sent
        """The body, decoded. Raises ValueError where it is no JSON, or there is none."""
        if self.body is None:
            raise ValueError(f"row {self.custom_id} has no body: {self.error}")
        return msgspec.json.decode(self.body)


class Summary(Struct, frozen=True, kw_only=True):
    """How a job ended."""

    job: int
    name: str
    state: str
    total: int
    completed: int
    dead_lettered: int
    cancelled: int
    #: Lines that were skipped as invalid.
    rejected: int
    cached: int
    #: Requests sent.
    attempts: int
    rate_limited: int
    input_tokens: int
    output_tokens: int
    #: Files written.
    results: str
    errors: str | None


def result_of(row: Answered | Dead) -> Result:
    """A stored row as a caller gets it."""
    if isinstance(row, Answered):
        return Result(
            custom_id=row.custom_id,
            line=row.line,
            error=None,
            status_code=row.status,
            body=row.body,
            cached=row.cached,
            attempts=row.attempts,
            provider_request_id=row.provider_request_id,
            latency_seconds=row.latency_us / 1e6,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
        )
    return Result(
        custom_id=row.custom_id,
        line=row.line,
        error=ResultError(code=row.code, message=row.message, kind=row.kind, attempts=row.attempts),
        status_code=row.status,
        body=row.reply,
        cached=False,
        attempts=row.attempts,
        provider_request_id=row.provider_request_id,
        latency_seconds=row.latency_us / 1e6,
    )
