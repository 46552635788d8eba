"""Which job a file already has, and where a new job of it goes if the command names no endpoint."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from batcher.config import choosing_headers
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.policy.urls import shown_base_url
from batcher.ports import Store
from batcher.services.jobs.options import EndpointNaming
from batcher.store.jobs import jobs


class FileJobs(Struct, frozen=True, kw_only=True):
    """What the store knows of a file. All are None for a file that is new."""

    #: The job that the command continues.
    known: Job | None = None
    #: The job whose endpoint a new job of this file takes, because the command names none.
    endpoint_of: Job | None = None
    #: An earlier job from the same path, with other content.
    changed_from: Job | None = None


def find_jobs(
    database: Store,
    digest: bytes,
    path: str | None,
    settings: JobSettings,
    *,
    naming: EndpointNaming,
    new: bool,
    named: str,
    answer_scope: str | None = None,
) -> FileJobs:
    """Find the jobs of a file by its content, and by its path if the content is new.

    `settings` are what the command would give a new job; `named` is the file's name in errors. Without an explicit
    endpoint, a known file continues with its job wherever that runs, and a new job of it goes where the earlier
    ones went. Raises UsageError if the endpoint is not clear: several jobs, or a variable that says otherwise.
    Jobs whose answers are of another scope count as other jobs; None: any scope.
    """
    with database.read() as connection:
        same = jobs.of_content(connection, digest)
        former = jobs.of_path(connection, path, but_not=digest) if path is not None else []
    same, former = _of_kind(same, settings), _of_kind(former, settings)
    going = [job for job in same if job.state is not JobState.CANCELLED and is_of_scope(job, answer_scope)]
    here = _at(going, settings.base_url)
    changed_from = None if same else next(iter(_at(former, settings.base_url)), None)
    if naming.is_explicit:
        return FileJobs(known=None if new else next(iter(here), None), changed_from=changed_from)
    if not new and going:
        return FileJobs(known=_only(going, settings, naming, named))
    if naming.named_by is not None:
        return FileJobs(changed_from=changed_from)
    earlier = same or former
    _refuse_several(earlier, named, what="a new job of it")
    other = next(iter(earlier), None)
    elsewhere = other if other is not None and other.base_url != settings.base_url else None
    return FileJobs(endpoint_of=elsewhere, changed_from=None if same else other)


def is_of_scope(job: Job, answer_scope: str | None) -> bool:
    """Return whether a command with these headers may continue the job, and so hand out its answers."""
    # A job that has choosing headers and no scope was made before there were scopes.
    is_old = not job.answer_scope and bool(choosing_headers(job.settings.headers))
    return answer_scope is None or job.answer_scope == answer_scope or is_old


def _of_kind(found: Iterable[Job], settings: JobSettings) -> list[Job]:
    """Return the jobs without those of the simulated provider, or only those: one is no trial of the other."""
    return [job for job in found if job.settings.simulate == settings.simulate]


def _at(found: Iterable[Job], base_url: str) -> list[Job]:
    return [job for job in found if job.base_url == base_url]


def _only(going: Sequence[Job], settings: JobSettings, naming: EndpointNaming, named: str) -> Job:
    """Return the job that a command without an endpoint means. Raises UsageError if that is not clear."""
    here = _at(going, settings.base_url)
    if naming.named_by is None:
        _refuse_several(going, named, what="this command")
        return going[0]
    if here:
        return here[0]
    job = going[0]
    raise UsageError(
        f"{named} is job {job.id} ({job.name}), which runs at {shown_base_url(job.base_url)}, "
        f"but {naming.named_by} names {shown_base_url(settings.base_url)}",
        hint=Cause.CONTINUE_THERE(job=job.id, base_url=shown_base_url(settings.base_url)),
    )


def _refuse_several(found: Sequence[Job], named: str, *, what: str) -> None:
    """Raise UsageError if the jobs run at several endpoints."""
    newest: dict[str, Job] = {}
    for job in found:
        newest.setdefault(job.base_url, job)
    if len(newest) < 2:  # noqa: PLR2004 - one is clear
        return
    listed = "; ".join(
        f"job {job.id} ({job.name}, {job.state.value}) at {shown_base_url(job.base_url)}"
        for job in sorted(newest.values(), key=lambda job: job.id)
    )
    last = max(newest.values(), key=lambda job: job.id)
    raise UsageError(
        f"{named} has jobs at several endpoints, so {what} must name one: {listed}",
        hint=Cause.NAME_ENDPOINT(job=last.id, base_url=shown_base_url(last.base_url)),
    )
