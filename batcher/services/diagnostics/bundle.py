"""`batcher bundle`: one zip for a support desk. The same store and the same time give the same bytes."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause, Message
from batcher.domain.secret import Secret
from batcher.domain.settings import JobSettings
from batcher.files.writing import write_atomically
from batcher.policy.privacy.redact import redact
from batcher.policy.privacy.request_shape import shape_of
from batcher.policy.privacy.sanitize import sanitize_json
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Store
from batcher.sender.target import Target, secrets_of
from batcher.services.diagnostics.bundle_attempts import MOST_ATTEMPTS, attempt_lines, content_members, name_like
from batcher.services.diagnostics.bundle_readme import readme
from batcher.services.diagnostics.versions import versions
from batcher.services.jobs.manage import find
from batcher.services.monitor.status import job_status, timestamp
from batcher.services.results.places import check_files
from batcher.store.dead_letters import summary
from batcher.store.dead_letters.summary import Group
from batcher.store.jobs import jobs
from batcher.store.reports import support
from batcher.store.reports.support import RequestWithBodies

#: Requests whose structure or content is included: this many, and fewer if nothing in the job failed.
_MOST_SHAPES: Final = 100
_FEW_SHAPES: Final = 10
#: Bytes of bodies and replies, with content.
_MOST_CONTENT: Final = 20 << 20
#: The earliest time that a zip can hold; every member has it.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
_PRIVATE: Final = 0o600 << 16
_ABOUT: Final = {
    "README.md": "this",
    "attempts.jsonl": "attempts with the provider's request ids: failures first, newest first",
    "dead_letters.json": "dead letters by cause",
    "job.json": "the job's settings and its status",
    "shapes.json": "structure of these requests: types and lengths, no text",
    "time.json": "when this was written, by this machine's clock and zone",
    "versions.json": "versions of the program, of Python, SQLite, the system and the libraries",
}


class Bundled(Struct, frozen=True, kw_only=True):
    """The file that was written."""

    job: JobId
    bytes: int
    members: list[str]
    left_out: list[str]


class BundleOptions(Struct, frozen=True, kw_only=True):
    """The subject of a bundle: a job or a request. Without either, the newest job."""

    job: str | None = None
    request: RequestId | None = None
    with_content: bool = False


def write_bundle(
    database: Store,
    choice: BundleOptions,
    place: Path,
    *,
    now: int,
    zone: tzinfo | None,
    environ: Mapping[str, str],
    force: bool,
    words: Callable[[Message], str],
) -> Bundled:
    """Write the zip, 0600, completely or not at all.

    `now` is UTC microseconds; `zone` None means this machine's; `words` words messages.

    Raises UsageError if it would overwrite a file, or if there is no such job or request.
    """
    job = _job(database, choice)
    check_files(database, [place])
    if place.exists() and not force:
        raise UsageError(f"{place} already exists", hint=Cause.OTHER_OUTPUT_OR_FORCE())
    members, left_out = _gather(database, job, choice, now=now, words=words)
    members["time.json"] = _json(_time(now, zone))
    secrets = _secrets(job.settings, environ)
    clean = {name: redact(content, secrets) for name, content in members.items()}
    packed = _packed(clean)
    with write_atomically(place) as file:
        file.write(packed)
    return Bundled(job=job.id, bytes=len(packed), members=sorted(clean), left_out=left_out)


def _job(database: Store, choice: BundleOptions) -> Job:
    if choice.request is None:
        return find(database, choice.job)
    if choice.job is not None:
        raise UsageError(Cause.JOB_AND_REQUEST(), hint="give one of them")
    with database.read(flushed=True) as connection:
        return jobs.get(connection, support.job_of(connection, choice.request))


def _gather(
    database: Store, job: Job, choice: BundleOptions, *, now: int, words: Callable[[Message], str]
) -> tuple[dict[str, bytes], list[str]]:
    """Return every member except the time, and a list of what was left out."""
    with database.read(flushed=True) as connection:
        total = support.attempt_count(connection, job, choice.request)
        tried = support.attempts_of(connection, job, choice.request, limit=MOST_ATTEMPTS)
        groups = summary.groups(connection, job.id, choice.request)
        failed = support.failed_requests(connection, job, choice.request, limit=_MOST_SHAPES)
        chosen = failed or support.first_requests(connection, job, choice.request, limit=_FEW_SHAPES)
        asked = support.requests_with_bodies(connection, chosen)

        def bodies(number: RequestId) -> list[bytes]:
            return [
                body
                for each in support.requests_with_bodies(connection, [number])
                for body in (each.body, *each.former)
            ]

        lines = attempt_lines(tried, bodies, with_content=choice.with_content)
    # For a job without failures no prompt is needed. For a request that was named, it is.
    shown = asked if choice.with_content and (failed or choice.request) else []
    content, content_left = content_members(shown, tried, most_bytes=_MOST_CONTENT)
    left_out = [f"{total - len(tried):,} older attempts (of {total:,})"] if total > len(tried) else []
    dead = sum(group.count for group in groups)
    if dead > len(asked):
        left_out.append(f"the shapes of {dead - len(asked):,} dead letters (of {dead:,})")
    left_out += content_left
    by_number = {each.request: each for each in asked}
    members = {
        "attempts.jsonl": lines,
        "dead_letters.json": _json(_causes(groups)),
        "job.json": _json(_about_job(database, job, now=now, with_content=choice.with_content, words=words)),
        "shapes.json": _json([_shape(by_number[number]) for number in chosen]),
        "versions.json": _json(versions()),
        **content,
    }
    about = {**_ABOUT, **dict.fromkeys(content, "content")}
    first = by_number[chosen[0]] if chosen else None
    members["README.md"] = readme(
        job, about, left_out, first, has_content=choice.with_content, words=words
    ).encode()
    return members, left_out


def _causes(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the causes over all routes, the most frequent first. `example` is the first dead letter of each."""
    causes: dict[tuple[str, str, int | None], list[Group]] = {}
    for group in groups:
        causes.setdefault((group.kind, group.code, group.status), []).append(group)
    entries = [
        {
            "kind": kind,
            "code": name_like(code) or "",
            "status": status,
            "count": sum(group.count for group in same),
            "example": min(group.first for group in same),
        }
        for (kind, code, status), same in causes.items()
    ]
    return sorted(entries, key=lambda entry: (-entry["count"], entry["example"]))


def _about_job(
    database: Store, job: Job, *, now: int, with_content: bool, words: Callable[[Message], str]
) -> dict[str, Any]:
    """Return settings and status without paths of this machine. The provider's messages may quote a prompt."""
    status: dict[str, Any] = msgspec.to_builtins(job_status(database, job, now=now), enc_hook=words)
    for name in ("source", "output", "runner_pid", "name"):
        status.pop(name)
    for lane in status["lanes"]:
        lane["endpoint"] = shown_base_url(lane["endpoint"])
    for holder in (status, *status["lanes"]):
        if holder["paused"] is not None and not with_content:
            del holder["paused"]["message"]
    settings: dict[str, Any] = msgspec.to_builtins(job.settings)
    settings["base_url"] = shown_base_url(job.settings.base_url)
    settings["ca_file"] = None if job.settings.ca_file is None else Path(job.settings.ca_file).name
    return {"batch": job.public_id, "settings": settings, "status": status}


def _shape(asked: RequestWithBodies) -> dict[str, Any]:
    return {
        "request": asked.request,
        "line": asked.line,
        "url": asked.url,
        "model": asked.model,
        "state": asked.state,
        "bytes": len(asked.body),
        "body": shape_of(asked.body),
    }


def _time(now: int, zone: tzinfo | None) -> dict[str, str | None]:
    local = datetime.fromtimestamp(now / 1e6, tz=UTC).astimezone(zone)
    return {"utc": timestamp(now), "local": local.isoformat(timespec="seconds"), "zone": local.tzname()}


def _secrets(settings: JobSettings, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return every key that this machine would send. None of them may be in the bundle, whatever it came from."""
    key = environ.get(settings.api_key_env, "").strip()
    headers = {name: environ.get(variable, "").strip() for name, variable in settings.headers.items()}
    target = Target(
        base_url=settings.base_url,
        key=Secret(key) if key else None,
        headers={name: Secret(value) for name, value in headers.items() if value},
    )
    return secrets_of(target)


def _json(document: object) -> bytes:
    return msgspec.json.format(sanitize_json(msgspec.json.encode(document)), indent=2) + b"\n"


def _packed(members: Mapping[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=_NO_TIME)
            entry.external_attr = _PRIVATE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, members[name])
    return packed.getvalue()
