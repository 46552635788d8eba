"""What a caller gets for a row, and for a job."""

from typing import Any

from msgspec import Struct

from batcher.domain.requests import Answered, Dead
from batcher.policy.lenient_json import NOT_JSON, read_json


class JobHandle(Struct, frozen=True, kw_only=True):
    """A stored job: `submit` returns it and `run` accepts it.

    Attributes:
        id: The job's number in the store.
        name: The job's name.
        total: Number of rows.
        is_new: False if the job was in the store already; it continues where it stopped.
    """

    id: int
    name: str
    total: int
    is_new: bool


class ResultError(Struct, frozen=True, kw_only=True):
    """Why a row is a dead letter.

    Attributes:
        code: The provider's error code, or one of batcher's own.
        message: The provider's message, without the key.
        kind: `permanent`, `transient` or `rate_limited`: which kind of failure used up its attempts.
        attempts: Number of requests that were sent for the row.
    """

    code: str
    message: str
    kind: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Result(Struct, frozen=True, kw_only=True):
    """The final result of a row. A dead letter has `error` set, and `body` is the provider's last reply, if any.

    Attributes:
        custom_id: The row's id.
        line: Physical line in the file, from 1.
        error: Why the row is a dead letter; None if it was answered.
        status_code: HTTP status of the last reply.
        body: The provider's own bytes.
        cached: Whether it was answered without a request of its own.
        attempts: Number of requests that were sent for the row.
        provider_request_id: The provider's id of the request.
        latency_seconds: Duration of the last attempt.
        input_tokens: Tokens of the prompt, as the provider counted them.
        output_tokens: Tokens of the answer, as the provider counted them.
    """

    custom_id: str
    line: int
    error: ResultError | None
    status_code: int | None
    body: bytes | None
    cached: bool
    attempts: int
    provider_request_id: str | None
    latency_seconds: float
    input_tokens: int | None = None
    output_tokens: int | None = None

    def json(self) -> Any:  # noqa: ANN401 - whatever the provider sent
        """Return the decoded body. Raises ValueError if it is not JSON, or if there is none."""
        if self.body is None:
            raise ValueError(f"row {self.custom_id} has no body: {self.error}")
        found = read_json(self.body)
        if found is NOT_JSON:
            raise ValueError(f"the body of row {self.custom_id} is not JSON")
        return found


class Summary(Struct, frozen=True, kw_only=True):
    """How a job ended.

    Attributes:
        job: The job's number in the store.
        name: The job's name.
        state: The job's state, such as `completed`.
        total: Number of rows.
        completed: Rows that were answered.
        dead_lettered: Rows that ended as dead letters.
        cancelled: Rows that were cancelled.
        rejected: Invalid lines that were skipped.
        cached: Rows that were answered without a request of their own.
        attempts: Requests sent.
        truncated: Answers that were cut at their token limit.
        empty: Of those, the ones that were cut before the first word.
        unchecked: Answers that were delivered although the requested format could not be checked.
        rate_limited: Requests that were refused by a rate limit or for lack of capacity.
        input_tokens: Tokens of all prompts, as the provider counted them.
        output_tokens: Tokens of all answers, as the provider counted them.
        results: Path of the results file.
        errors: Path of the errors file; None if every row was answered and no line was skipped.
    """

    job: int
    name: str
    state: str
    total: int
    completed: int
    dead_lettered: int
    cancelled: int
    rejected: int
    cached: int
    attempts: int
    truncated: int
    empty: int
    unchecked: int
    rate_limited: int
    input_tokens: int
    output_tokens: int
    results: str
    errors: str | None


def result_of(row: Answered | Dead) -> Result:
    """Return a stored row as a `Result`."""
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
