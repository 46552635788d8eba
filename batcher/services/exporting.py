"""Results and errors come out: in input order, from the store to a temporary file, then renamed."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.files.writing import check_target, remove_if_present, write_atomically
from batcher.policy.result_lines import error_line, rejected_line, result_line
from batcher.store import export
from batcher.store.engine import Database


class Exported(Struct, frozen=True, kw_only=True):
    """What was written; None: no such file was called for."""

    results: str
    errors: str | None
    answered: int
    failed: int


def default_output(source_name: str) -> str:
    """FILE's stem + `.results.jsonl`, beside FILE."""
    if source_name == "<stdin>":
        return "stdin.results.jsonl"
    path = Path(source_name)
    return str(path.with_name(f"{_stem(path)}.results.jsonl"))


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".gz", ".zst"):
        name = name.removesuffix(ending)
    return Path(name).stem if "." in name.strip(".") else name


def errors_beside(results: str) -> str:
    """`out.jsonl` → `out.errors.jsonl`; the default `x.results.jsonl` → `x.errors.jsonl`."""
    path = Path(results)
    name = path.name
    if name.endswith(".results.jsonl"):
        return str(path.with_name(name.removesuffix(".results.jsonl") + ".errors.jsonl"))
    suffix = path.suffix or ""
    return str(path.with_name(f"{path.stem}.errors{suffix or '.jsonl'}"))


def check_places(database: Database, results: str, *, source_path: str | None) -> None:
    """Raise UsageError where results or errors could not be written, or would destroy what is dear."""
    dear = {database.path.resolve(): "the store"}
    if source_path is not None:
        dear[Path(source_path).resolve()] = "the job file"
    for place in (Path(results), Path(errors_beside(results))):
        check_target(place)
        what = dear.get(place.resolve())
        if what is not None:
            raise UsageError(f"{place} is {what}; it is not written over", hint="name another output file with -o")


def public_request_id(job: Job, line: int) -> str:
    """The stable id of a line's request, in the shape of OpenAI's batches."""
    return f"batch_req_{job.public_id.removeprefix('batch_')}{line:08x}"


def answered_lines(database: Database, job: Job) -> Iterator[bytes]:
    """A result line for every answered request, in input order."""
    with database.read() as connection:
        for row in export.answered(connection, job):
            yield result_line(
                request_id_public=public_request_id(job, row.line),
                custom_id=row.custom_id,
                status=row.status,
                provider_request_id=row.provider_request_id,
                body=row.body,
                cached=row.cached,
                attempts=row.sends,
                latency_us=row.latency_us,
                answered_by=row.answered_by,
            )


def failed_lines(database: Database, job: Job) -> Iterator[bytes]:
    """An error line for every dead letter and every skipped line, in input order."""
    with database.read() as connection:
        skipped = export.skipped(connection, job.id)
        waiting = next(skipped, None)
        for row in export.dead(connection, job):
            while waiting is not None and waiting.line < row.line:
                yield rejected_line(waiting, request_id_public=public_request_id(job, waiting.line))
                waiting = next(skipped, None)
            yield error_line(
                request_id_public=public_request_id(job, row.line),
                custom_id=row.custom_id,
                status=row.status,
                provider_request_id=row.provider_request_id,
                body=row.reply,
                code=row.code,
                message=row.message,
                kind=row.kind,
                cached=False,
                attempts=row.sends,
                latency_us=row.latency_us,
                answered_by=None,
            )
        while waiting is not None:
            yield rejected_line(waiting, request_id_public=public_request_id(job, waiting.line))
            waiting = next(skipped, None)


def write_job(database: Database, job: Job, *, results: str, errors: str | None = None) -> Exported:
    """Write both files; the errors file is removed where nothing failed, so that none from before misleads."""
    errors_path = Path(errors or errors_beside(results))
    with write_atomically(Path(results)) as file:
        answered = _write(file, answered_lines(database, job))
    failing = failed_lines(database, job)
    first = next(failing, None)
    failed = 0
    if first is None:
        remove_if_present(errors_path)
    else:
        with write_atomically(errors_path) as file:
            file.write(first)
            failed = 1 + _write(file, failing)
    return Exported(results=results, errors=str(errors_path) if failed else None, answered=answered, failed=failed)


def _write(file: BinaryIO, lines: Iterator[bytes]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the count
        file.write(line)
    return count
