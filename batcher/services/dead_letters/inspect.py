"""List dead letters, and show one with its whole history."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from batcher.domain.ids import JobId, RequestId
from batcher.domain.messages import Message, Words
from batcher.domain.requests import Filters
from batcher.domain.states import RequestState
from batcher.policy.output.advice import Means, advice, advice_for_one
from batcher.ports import Store
from batcher.services.dead_letters.means import by_code_in, means_of
from batcher.services.jobs.manage import find
from batcher.services.monitor.status import timestamp
from batcher.store.dead_letters import listing
from batcher.store.dead_letters.listing import Letter
from batcher.store.reports.attempt_columns import AttemptRow


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
    #: None, like `advice`, if the request is not a dead letter (any more).
    dead_lettered_at: str | None
    advice: Words | None


class DeadLetterList(Struct, frozen=True, kw_only=True):
    """`batcher dlq list --json`. `total` counts all that match, also beyond the limit."""

    data: list[DeadLetterEntry]
    total: int


class AttemptTokens(Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them; None if it sent no count."""

    input: int | None
    output: int | None


class AttemptEntry(Struct, frozen=True, kw_only=True):
    """One attempt in the history."""

    attempt: int
    #: The request that was sent: this one, or the one whose answer it shares.
    request: RequestId
    #: Revision of the body that was sent: 0 as in the job file, plus one per edit.
    revision: int
    #: When it was sent. None if it was not, because the connection failed, or if that is unknown (kind `lost`).
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
    #: The reply, truncated; a string if it is not JSON.
    reply: Raw | str | None


class ShownLetter(DeadLetterEntry, frozen=True, kw_only=True):
    """`batcher dlq show --json`."""

    state: RequestState
    url: str
    model: str
    #: The request body, byte for byte.
    body: Raw
    history: list[AttemptEntry]


def filters_for(
    database: Store,
    *,
    job: str | None,
    kind: str | None,
    code: str | None,
    status: int | None,
    requests: Sequence[int] = (),
) -> Filters:
    """Make filters from a command's options; None matches any. Raises UnknownJob."""
    job_id = None if job is None else find(database, job).id
    chosen = tuple(RequestId(request) for request in requests)
    return Filters(job=job_id, kind=kind, code=code, status=status, requests=chosen)


def list_letters(database: Store, filters: Filters, *, limit: int) -> DeadLetterList:
    """Return the first `limit` dead letters in file order."""
    with database.read() as connection:
        found = listing.letters(connection, filters, limit=limit)
        total = len(found) if len(found) < limit else listing.count(connection, filters)
    means = _means(database, found)
    data = [_entry(letter, means=means[letter.job, letter.code]) for letter in found]
    return DeadLetterList(data=data, total=total)


def _means(database: Store, found: Iterable[Letter]) -> dict[tuple[JobId, str], Means]:
    """Return what fills in the advice about the letters of each job and code."""
    first = {(letter.job, letter.code): letter for letter in reversed(list(found))}
    return {
        (job, code): means_of(database, Filters(job=job, code=code), by_code_in(job, code), example=letter.request)
        for (job, code), letter in first.items()
    }


def show(database: Store, request: RequestId) -> ShownLetter:
    """Return the request with its body, every attempt and advice.

    Raises UsageError if there is no such request.
    """
    with database.read() as connection:
        shown = listing.show(connection, request)
    letter, means = shown.letter, None
    if shown.state == RequestState.DEAD_LETTERED:
        which = by_code_in(letter.job, letter.code)
        means = means_of(database, Filters(requests=(request,)), which, example=request)
    entry = _entry(letter, means=means)
    if isinstance(entry.advice, Message):
        entry = replace(entry, advice=advice_for_one(entry.advice, request))
    return ShownLetter(
        **msgspec.structs.asdict(entry),
        state=RequestState(shown.state),
        url=shown.path,
        model=shown.model,
        body=Raw(shown.body),
        history=[_attempt_entry(attempt) for attempt in shown.history],
    )


def _entry(letter: Letter, *, means: Means | None) -> DeadLetterEntry:
    """Describe a letter; `means` None: it is no dead letter any more."""
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
        dead_lettered_at=None if means is None else timestamp(letter.dead_lettered_at),
        advice=None if means is None else advice(letter.code, letter.kind, letter.status, means=means),
    )


def _attempt_entry(attempt: AttemptRow) -> AttemptEntry:
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
    """Return the reply as JSON if every reader accepts it: it may be truncated, or hold half a surrogate pair."""
    try:
        return msgspec.json.decode(reply, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return reply.decode("utf-8", "replace")
