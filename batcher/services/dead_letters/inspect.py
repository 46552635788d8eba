"""Dead letters listed, and one shown with its whole history."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.policy.output.advice import advice
from batcher.services.jobs.manage import find
from batcher.services.runs.status import timestamp
from batcher.store.dead_letters import listing
from batcher.store.dead_letters.listing import Attempt, Filters, Letter
from batcher.store.sqlite.database import Database


class DeadLetterEntry(Struct, frozen=True, kw_only=True):
    """One entry of `batcher dlq list --json`."""

    request: RequestId
    job: JobId
    line: int
    custom_id: str
    kind: str
    status: int | None
    code: str
    message: str
    attempts: int
    provider_request_id: str | None
    #: None and without advice: it is no dead letter (any more).
    dead_lettered_at: str | None
    advice: str | None


class DeadLetterList(Struct, frozen=True, kw_only=True):
    """`batcher dlq list --json`. `total` is how many the filters mean, beyond the limit too."""

    data: list[DeadLetterEntry]
    total: int


class AttemptTokens(Struct, frozen=True, kw_only=True):
    """As the provider counted them; None: it did not say."""

    input: int | None
    output: int | None


class AttemptEntry(Struct, frozen=True, kw_only=True):
    """One entry of the history."""

    attempt: int
    #: What was sent: this request, or the one whose answer it was to share.
    request: RequestId
    #: Of the body that was sent: 0 as in the job file, one more for each edit.
    revision: int
    #: When it was sent; None: it never was, as no connection came about, or (kind lost) that is unknown.
    time: str | None
    ended: str | None
    latency_seconds: float | None
    status: int | None
    kind: str
    code: str | None
    message: str | None
    provider_request_id: str | None
    retry_after_seconds: float | None
    tokens: AttemptTokens
    #: What came back, cut; a string where it is no JSON.
    reply: Raw | str | None


class ShownLetter(DeadLetterEntry, frozen=True, kw_only=True):
    """`batcher dlq show --json`."""

    state: RequestState
    url: str
    model: str
    #: The request's own bytes.
    body: Raw
    history: list[AttemptEntry]


def choose(
    database: Database,
    *,
    job: str | None,
    kind: str | None,
    code: str | None,
    status: int | None,
    requests: Sequence[int] = (),
) -> Filters:
    """Which dead letters a person means; None: any. Raises UnknownJob."""
    job_id = None if job is None else find(database, job).id
    chosen = tuple(RequestId(request) for request in requests)
    return Filters(job=job_id, kind=kind, code=code, status=status, requests=chosen)


def list_letters(database: Database, filters: Filters, *, limit: int) -> DeadLetterList:
    """Dead letters in file order, the first `limit` of them."""
    with database.read() as connection:
        found = listing.letters(connection, filters, limit=limit)
        total = len(found) if len(found) < limit else listing.count(connection, filters)
    return DeadLetterList(data=[_entry(letter, is_dead=True) for letter in found], total=total)


def show(database: Database, request: RequestId) -> ShownLetter:
    """The request whole: its body, every attempt, what to do. Raises UsageError where there is none."""
    with database.read() as connection:
        shown = listing.show(connection, request)
    entry = _entry(shown.letter, is_dead=shown.state == RequestState.DEAD_LETTERED)
    return ShownLetter(
        **msgspec.structs.asdict(entry),
        state=RequestState(shown.state),
        url=shown.path,
        model=shown.model,
        body=Raw(shown.body),
        history=[_sending(attempt) for attempt in shown.history],
    )


def _entry(letter: Letter, *, is_dead: bool) -> DeadLetterEntry:
    return DeadLetterEntry(
        request=letter.request,
        job=letter.job,
        line=letter.line,
        custom_id=letter.custom_id,
        kind=letter.kind,
        status=letter.status,
        code=letter.code,
        message=letter.message,
        attempts=letter.attempts,
        provider_request_id=letter.provider_request_id,
        dead_lettered_at=timestamp(letter.dead_lettered_at) if is_dead else None,
        advice=advice(letter.code, letter.kind, letter.status) if is_dead else None,
    )


def _sending(attempt: Attempt) -> AttemptEntry:
    return AttemptEntry(
        attempt=attempt.send,
        request=attempt.request_id,
        revision=attempt.revision,
        time=timestamp(attempt.sent_at),
        ended=timestamp(attempt.ended_at),
        latency_seconds=None if attempt.sent_at is None else (attempt.ended_at - attempt.sent_at) / 1e6,
        status=attempt.status,
        kind=attempt.kind,
        code=attempt.code,
        message=attempt.message,
        provider_request_id=attempt.provider_request_id,
        retry_after_seconds=None if attempt.retry_after_us is None else attempt.retry_after_us / 1e6,
        tokens=AttemptTokens(input=attempt.input_tokens, output=attempt.output_tokens),
        reply=None if attempt.reply is None else _reply(attempt.reply),
    )


def _reply(reply: bytes) -> Raw | str:
    """As JSON where it is JSON that every reader takes: it may be cut, and escapes may spell half a character."""
    try:
        return msgspec.json.decode(reply, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return reply.decode("utf-8", "replace")
