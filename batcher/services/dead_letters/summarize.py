"""Group dead letters by cause, each with figures and advice."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from msgspec import Struct

from batcher.domain.ids import JobId, RequestId
from batcher.domain.messages import Message, Words
from batcher.domain.requests import Filters
from batcher.policy.output.advice import Means, advice, advice_in_figures, by_code
from batcher.policy.wording.token_overflow import Figures, read_overflow, together
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Store
from batcher.services.dead_letters.means import means_of
from batcher.store.dead_letters import listing, summary
from batcher.store.dead_letters.listing import Letter
from batcher.store.dead_letters.summary import Group

#: Dead letters of a cause that are searched for figures before all of them are.
_SEARCHED_FIRST: Final = 20


class Example(Struct, frozen=True, kw_only=True):
    """The first row with this cause."""

    request: RequestId
    job: JobId
    line: int
    custom_id: str
    message: str


class CauseEntry(Struct, frozen=True, kw_only=True):
    """One entry of `batcher dlq summary --json`."""

    code: str
    kind: str
    status: int | None
    count: int
    #: How many of the rows were sent; the others failed together with a row that has the same body.
    sent: int
    example: Example
    models: list[str]
    endpoints: list[str]
    urls: list[str]
    #: The token figures in the provider's messages, if there are any.
    tokens: Figures | None
    advice: Words


class DeadLetterSummary(Struct, frozen=True, kw_only=True):
    """`batcher dlq summary --json`, the most frequent cause first."""

    data: list[CauseEntry]
    total: int


#: (code, kind, status)
_Key = tuple[str, str, int | None]


def summarize(database: Store, job: JobId | None) -> DeadLetterSummary:
    """Return the causes of the dead letters of one job, or of all jobs if None."""
    with database.read() as connection:
        causes = _by_cause(summary.groups(connection, job))
        firsts = tuple(min(group.first for group in groups) for groups in causes.values())
        letters = listing.letters(connection, Filters(requests=firsts), limit=None) if firsts else []
        figures = {key: _figures(summary.said(connection, _filters_of(key, job))) for key in causes}
    means = {
        key: means_of(
            database,
            _filters_of(key, job),
            _selection_of(key, causes, job),
            example=min(each.first for each in of),
        )
        for key, of in causes.items()
    }
    first_of = {(each.code, each.kind, each.status): each for each in letters}
    data = [_cause(groups, first_of[key], figures[key], means[key]) for key, groups in causes.items()]
    data.sort(key=lambda each: (-each.count, each.example.request))
    return DeadLetterSummary(data=data, total=sum(each.count for each in data))


def _by_cause(groups: Iterable[Group]) -> dict[_Key, list[Group]]:
    causes: dict[_Key, list[Group]] = {}
    for group in groups:
        causes.setdefault((group.code, group.kind, group.status), []).append(group)
    return causes


def _filters_of(key: _Key, job: JobId | None) -> Filters:
    code, kind, status = key
    return Filters(job=job, code=code, kind=kind, status=status)


def _figures(said: Iterator[tuple[str, bytes | None]]) -> Figures | None:
    """Combine the token figures of all messages. Most causes have none, so a few messages are searched first."""
    read = (read_overflow(message, reply) for message, reply in said)
    asked = list(islice(read, _SEARCHED_FIRST))
    if not any(asked):
        return None
    return together(each for each in chain(asked, read) if each is not None)


def _selection_of(key: _Key, causes: Collection[_Key], job: JobId | None) -> Message:
    """Return what selects this cause, and no other with the same code."""
    code, kind, status = key
    others = [each for each in causes if each[0] == code and each != key]
    chosen = by_code(code)
    if job is not None:
        chosen = chosen.replaced(job=job)
    if any(each[1] != kind for each in others):
        chosen = chosen.replaced(kind=kind)
    if status is not None and any(each[2] != status for each in others):
        chosen = chosen.replaced(status=status)
    return chosen


def _cause(groups: Sequence[Group], first: Letter, figures: Figures | None, means: Means) -> CauseEntry:
    if figures is None:
        text = advice(first.code, first.kind, first.status, means=means)
    else:
        text = advice_in_figures(first.code, figures, means=means)
    return CauseEntry(
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
        endpoints=sorted({shown_base_url(group.base_url) for group in groups}),
        urls=sorted({group.path for group in groups}),
        tokens=figures,
        advice=text,
    )
