"""Submit a job file: every line is validated; the job is stored whole or not at all."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.errors import InputError, UsageError
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause, Words
from batcher.domain.settings import JobSettings
from batcher.files.reading import digest
from batcher.files.source import Source
from batcher.policy.input.key_sets import BloomFilter
from batcher.policy.input.row_notes import NoteCounter
from batcher.ports import Clock, Store
from batcher.services.jobs.background_writer import BackgroundWriter
from batcher.services.jobs.known_jobs import FileJobs, find_jobs, is_of_scope
from batcher.services.jobs.line_chunks import Chunk
from batcher.services.jobs.options import SubmitOptions, parse_options
from batcher.services.jobs.reader_process import read_chunks
from batcher.services.jobs.refused_lines import RefusedLines
from batcher.services.store.turns import let_others_write
from batcher.store.jobs import jobs, leaders
from batcher.store.jobs import loading as stored_loading


class Submitted(Struct, frozen=True, kw_only=True):
    """The stored job."""

    job: Job
    #: False if the file was already stored as this job.
    is_new: bool
    #: An earlier job from the same path with different content.
    changed_from: Job | None = None
    #: The job whose endpoint it took, because the command named none.
    endpoint_of: Job | None = None
    #: Invalid lines skipped because of `skip_invalid`.
    rejected: int = 0
    #: Rows that share another row's answer.
    followers: int = 0
    #: What is probably not meant as it is.
    notes: list[Words] = []


def content_digest(source: Source, options: SubmitOptions) -> bytes:
    """Return the identity of a job: a digest of its content (or key), and of the url and model of its bodies."""
    content = digest(source) if options.key is None else hashlib.sha256(options.key.encode()).digest()
    added = (options.url or "") + ("" if options.model is None else f"\0{options.model}")
    return hashlib.sha256(content + b"\0" + added.encode()).digest()


def submit_file(
    database: Store,
    source: Source,
    settings: JobSettings,
    options: SubmitOptions,
    *,
    clock: Clock,
    progress: Callable[[int], None] | None = None,
    check: Callable[[JobSettings], None] = lambda _: None,
    settings_at: Callable[[Job], JobSettings] | None = None,
    answer_scope: Callable[[JobSettings], str | None] = lambda _: None,
) -> Submitted:
    """Store the job, or find the job that was made from the same content.

    `progress` is called with the number of lines read, after each chunk. `check` may raise if a new job with these
    settings could not be run. `settings_at` returns the settings of a new job that takes the endpoint of another,
    and `answer_scope` which answers a job with these settings may share.
    Raises InputError with the invalid lines; nothing is stored then.
    """
    _check_name(options.name)
    with read_chunks(source, parse_options(settings, options)) as chunks:
        known_digest = content_digest(source, options)
        path = None if source.name == "<stdin>" else str(Path(source.name).resolve())
        found = _find(database, source.name, known_digest, path, settings, options, answer_scope)
        if found.known is not None:
            return Submitted(job=found.known, is_new=False)
        if found.endpoint_of is not None and settings_at is not None:
            settings = settings_at(found.endpoint_of)
        check(settings)
        job = _new_job(source, path, known_digest, settings, options, now=clock.now())
        job = replace(job, answer_scope=answer_scope(settings) or "")
        loading = _Loading(database, job, options)
        with database.coordination.loading(partial(_remove_half_loaded, database)):
            stored = loading.load(chunks, progress or (lambda _: None))
    if stored.public_id != job.public_id:
        return Submitted(job=stored, is_new=False)
    return Submitted(
        job=stored,
        is_new=True,
        changed_from=None if options.new else found.changed_from,
        endpoint_of=found.endpoint_of,
        rejected=loading.rejected,
        followers=loading.followers,
        notes=loading.notes.sentences(),
    )


def _find(
    database: Store,
    named: str,
    known_digest: bytes,
    path: str | None,
    settings: JobSettings,
    options: SubmitOptions,
    answer_scope: Callable[[JobSettings], str | None],
) -> FileJobs:
    # Without headers of its own, the command takes the job's.
    scope = answer_scope(settings) if settings.headers else None
    naming, new = options.naming, options.new
    return find_jobs(
        database, known_digest, path, settings, naming=naming, new=new, named=named, answer_scope=scope
    )


def _new_job(
    source: Source,
    path: str | None,
    known_digest: bytes,
    settings: JobSettings,
    options: SubmitOptions,
    *,
    now: int,
) -> stored_loading.NewJob:
    return stored_loading.NewJob(
        public_id=f"batch_{secrets.token_hex(12)}",
        name=options.name or _name_of(source.name),
        settings=settings,
        source_name=source.name,
        source_path=path,
        source_digest=known_digest,
        output_path=options.output_path,
        created_at=now,
    )


def _remove_half_loaded(database: Store) -> None:
    """Remove half-loaded jobs. No process is loading a job now, so their loaders were killed."""
    with database.read() as connection:
        left = stored_loading.half_loaded(connection)
    for job_id in left:
        _remove(database, job_id)


def _remove(database: Store, job_id: JobId) -> None:
    while True:
        with database.write() as connection:
            if not stored_loading.remove_some(connection, job_id):
                return
        let_others_write()


def _check_name(name: str | None) -> None:
    if name is not None and (not name.strip() or name.isdigit()):
        raise UsageError(
            f'"{name}" cannot name a job: a name must not be empty or a number', hint=Cause.NAME_A_WORD()
        )


def _name_of(source: str) -> str:
    if source == "<stdin>":
        return "stdin"
    stem = Path(source).name
    for ending in (".gz", ".zst", ".jsonl", ".ndjson", ".json"):
        stem = stem.removesuffix(ending)
    return f"job-{stem}" if stem.isdigit() else stem or "job"


class _Loading:
    """Load one job into the store in chunks. After the first invalid line the rest is only validated."""

    def __init__(self, database: Store, job: stored_loading.NewJob, options: SubmitOptions) -> None:
        self._database = database
        self._new = job
        self._options = options
        self._refused = RefusedLines(keep=options.keep_bad)
        self.notes = NoteCounter()
        self._good_count = 0
        #: Set when loading ends early: if a second signal interrupted the wait, the last chunk may still be
        #: waiting to be written, and must not be.
        self._abandoned = False
        self._repeats = BloomFilter()
        self.rejected = 0
        self.followers = 0

    def load(self, chunks: Iterator[Chunk], progress: Callable[[int], None]) -> Job:
        with self._database.write() as connection:
            job_id = stored_loading.begin(connection, self._new)
        try:
            self._add_all(job_id, chunks, progress)
            self._refuse()
            opened = self._open(job_id)
        except BaseException:
            self._abandoned = True
            _remove(self._database, job_id)
            with self._database.write() as connection:
                stored_loading.release_number(connection, job_id)
            raise
        if opened.id != job_id:
            _remove(self._database, job_id)
        return opened

    def _open(self, job_id: JobId) -> Job:
        """Make the job visible. If another process has stored the same file meanwhile, return that job instead."""
        extent = self._choose_leaders(job_id)
        with self._database.write() as connection:
            same = jobs.by_source(connection, self._new.source_digest, self._new.settings.base_url)
            is_same = same is not None and is_of_scope(same, self._new.answer_scope)
            if same is not None and is_same and not self._options.new:
                return same
            if extent is None:
                self.followers = stored_loading.open_job(connection, job_id, repeats=self._repeats.found)
            else:
                stored_loading.show(connection, job_id, extent)
            return jobs.get(connection, job_id)

    def _choose_leaders(self, job_id: JobId) -> leaders.Extent | None:
        """Choose the leaders of a large job, a chunk per transaction; None for a small one."""
        with self._database.read() as connection:
            extent = leaders.extent(connection, job_id)
        if extent.total <= leaders.ROWS:
            return None
        for step in leaders.steps(job_id, extent, self._repeats.found):
            with self._database.write() as connection:
                self.followers += step(connection)
            let_others_write()
        return extent

    def _add_all(self, job_id: JobId, chunks: Iterator[Chunk], progress: Callable[[int], None]) -> None:
        read = 0
        routes = stored_loading.Routes(job_id)
        with BackgroundWriter() as writer:
            for chunk in chunks:
                self._repeats.add(line.fingerprint for line in chunk.lines if line.fingerprint is not None)
                writer.submit(partial(self._add, job_id, routes, chunk))
                read += len(chunk.lines) + len(chunk.bad)
                progress(read)

    def _add(self, job_id: JobId, routes: stored_loading.Routes, chunk: Chunk) -> None:
        lines, bad = chunk.lines, chunk.bad
        with_bodies = self._options.skip_invalid or not (bad or self._refused.count)
        with self._database.write() as connection:
            if self._abandoned:
                return
            repeated = stored_loading.add(connection, job_id, routes, lines, with_bodies=with_bodies)
            if self._options.skip_invalid:
                stored_loading.add_rejected(connection, job_id, [*bad, *repeated])
        self._good_count += len(lines) - len(repeated)
        self._refused.add(sorted([*bad, *repeated], key=lambda each: each.line))
        self.notes.add(line.parsed for line in lines)

    def _refuse(self) -> None:
        name, refused = self._new.source_name, self._refused
        skipped = self._options.skip_invalid and self._good_count and not refused.are_never_skipped
        if refused.count and not skipped:
            raise refused.error(name, valid=self._good_count > 0)
        if not self._good_count:
            raise InputError(f"{name} holds no request", source=name, hint="one JSON request per line")
        self.rejected = refused.count
