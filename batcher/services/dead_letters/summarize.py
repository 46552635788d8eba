"""Dead letters grouped by what they died of, each cause with figures and what to do about it."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from msgspec import Struct

from batcher.domain.ids import JobId, RequestId
from batcher.policy.output.advice import advice, advice_in_figures, by_code
from batcher.policy.output.token_overflow import Figures, read_overflow, together
from batcher.store.dead_letters import listing, summary
from batcher.store.dead_letters.listing import Filters, Letter
from batcher.store.dead_letters.summary import Group
from batcher.store.sqlite.database import Database

#: Letters of a cause that are asked for figures before all are.
_ASKED_FIRST: Final = 20


class Example(Struct, frozen=True, kw_only=True):
    """The first of the rows."""

    request: RequestId
    job: JobId
    line: int
    custom_id: str
    message: str


class Cause(Struct, frozen=True, kw_only=True):
    """One entry of `batcher dlq summary --json`."""

    code: str
    kind: str
    status: int | None
    count: int
    #: How many of the rows the provider has seen; the others died with one that shares their body.
    sent: int
    example: Example
    models: list[str]
    endpoints: list[str]
    urls: list[str]
    #: What the provider said of their length, where it did.
    tokens: Figures | None
    advice: str


class DeadLetterSummary(Struct, frozen=True, kw_only=True):
    """`batcher dlq summary --json`, the most frequent cause first."""

    data: list[Cause]
    total: int


#: (code, kind, status)
_Key = tuple[str, str, int | None]


def summarize(database: Database, job: JobId | None) -> DeadLetterSummary:
    """What the dead letters of one job, or of all, died of."""
    with database.read() as connection:
        causes = _by_cause(summary.groups(connection, job))
        firsts = tuple(min(group.first for group in groups) for groups in causes.values())
        letters = listing.letters(connection, Filters(requests=firsts), limit=None) if firsts else []
        figures = {key: _figures(summary.said(connection, _meaning(key, job))) for key in causes}
    first_of = {(each.code, each.kind, each.status): each for each in letters}
    data = [
        _cause(groups, first_of[key], figures[key], _which(key, causes, job)) for key, groups in causes.items()
    ]
    data.sort(key=lambda each: (-each.count, each.example.request))
    return DeadLetterSummary(data=data, total=sum(each.count for each in data))


def _by_cause(groups: Iterable[Group]) -> dict[_Key, list[Group]]:
    causes: dict[_Key, list[Group]] = {}
    for group in groups:
        causes.setdefault((group.code, group.kind, group.status), []).append(group)
    return causes


def _meaning(key: _Key, job: JobId | None) -> Filters:
    code, kind, status = key
    return Filters(job=job, code=code, kind=kind, status=status)


def _figures(said: Iterator[tuple[str, bytes | None]]) -> Figures | None:
    """What all of them say of their length; most causes have nothing to do with it, so a few are asked first."""
    read = (read_overflow(message, reply) for message, reply in said)
    asked = list(islice(read, _ASKED_FIRST))
    if not any(asked):
        return None
    return together(each for each in chain(asked, read) if each is not None)


def _which(key: _Key, causes: Collection[_Key], job: JobId | None) -> str:
    """The options of `dlq retry` that mean this cause, and no other that has the same code."""
    code, kind, status = key
    others = [each for each in causes if each[0] == code and each != key]
    options = [] if job is None else [f"--job {job}"]
    options.append(by_code(code))
    if any(each[1] != kind for each in others):
        options.append(f"--kind {kind}")
    if status is not None and any(each[2] != status for each in others):
        options.append(f"--status {status}")
    return " ".join(options)


def _cause(groups: Sequence[Group], first: Letter, figures: Figures | None, which: str) -> Cause:
    if figures is None:
        text = advice(first.code, first.kind, first.status, which=which)
    else:
        text = advice_in_figures(first.code, figures, which=which)
    return Cause(
        code=first.code,
        kind=first.kind,
        status=first.status,
        count=sum(group.count for group in groups),
        sent=sum(group.sent for group in groups),
        example=Example(
            request=first.request,
            job=first.job,
            line=first.line,
            custom_id=first.custom_id,
            message=first.message,
        ),
        models=sorted({group.model for group in groups}),
        endpoints=sorted({group.base_url for group in groups}),
        urls=sorted({group.path for group in groups}),
        tokens=figures,
        advice=text,
    )
