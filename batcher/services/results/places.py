"""Where results and errors go, and what may be replaced there: only what a job wrote."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from batcher.domain.errors import BatcherError, UsageError
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.states import JobState
from batcher.files.authorship import NotOfAJob, author_of
from batcher.files.source import is_stdin
from batcher.files.writing import check_target
from batcher.ports import Store
from batcher.store.jobs import jobs

#: Suffixes that SQLite and the locks add to the name of the store's file.
_TABLE: Final = re.compile(r"\.(csv|tsv|xlsx?|parquet|ods)(\.gz|\.zst)?$", re.IGNORECASE)
_PACKED: Final = (".gz", ".zst")
_RESULTS: Final = ".results.jsonl"


def default_output(source_name: str, *, simulated: bool) -> str:
    """Return FILE's stem + `.results.jsonl`, beside FILE. Simulated answers never replace real ones."""
    ending = ".simulated.results.jsonl" if simulated else _RESULTS
    if source_name == "<stdin>" or is_stdin(source_name):
        return f"stdin{ending}"
    path = Path(source_name)
    return str(path.with_name(f"{_stem(path)}{ending}"))


def _stem(path: Path) -> str:
    name = path.name
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return Path(name).stem if "." in name.strip(".") else name


def errors_beside(results: str) -> str:
    """`out.jsonl` → `out.errors.jsonl`; the default `x.results.jsonl` → `x.errors.jsonl`.

    An ending `.gz` or `.zst` stays: both files are compressed.
    """
    path = Path(results)
    name, packed = _unpacked(path.name)
    if name.endswith(_RESULTS):
        return str(path.with_name(f"{name.removesuffix(_RESULTS)}.errors.jsonl{packed}"))
    plain = Path(name)
    return str(path.with_name(f"{plain.stem}.errors{plain.suffix or '.jsonl'}{packed}"))


def _unpacked(name: str) -> tuple[str, str]:
    """Return the name without `.gz` or `.zst`, and that ending."""
    for ending in _PACKED:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return name, ""


def absolute(path: str | os.PathLike[str]) -> str:
    """Return the absolute path, valid from any working directory. Links are not followed."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib leaves `..` in, or follows links


def refuse_table(results: str) -> None:
    """Raise UsageError for the name of a table: results are JSON Lines."""
    ending = _TABLE.search(results)
    if ending is not None:
        raise UsageError(
            f"results are written as JSON Lines, which {results} would not be by its name",
            hint=f"name it {results.removesuffix(ending[0])}.jsonl; `jq -r` makes a table of it",
        )


def check_places(
    database: Store,
    results: str,
    *,
    source_path: str | None,
    errors: str | None = None,
    may_fail: bool = True,
) -> None:
    """Raise UsageError if results or errors cannot be written, or would replace what no job has written.

    `errors` None: the errors file is beside the results. `may_fail` False: no errors file will be needed.
    """
    results_place = Path(results)
    refuse_table(results)
    check_target(results_place)
    errors_place = Path(errors or errors_beside(results))
    check_files(database, [results_place, errors_place], sources=[] if source_path is None else [source_path])
    check_author(results_place)
    if may_fail:
        check_author(errors_place, of_errors=True)


@contextmanager
def remembered_by(job: Job, place: str) -> Iterator[None]:
    """Add to an error about a remembered place, if its folder is gone, the command that names another.

    A project's folder is moved or renamed with its store, or is mounted elsewhere in a container.
    """
    try:
        yield
    except BatcherError as error:
        if Path(place).parent.is_dir():
            raise
        command = "resume" if job.state is JobState.OPEN else "results"
        moved = Cause.FOLDER_MOVED(command=command, job=job.id, file=Path(place).name)
        kind = UsageError if isinstance(error, UsageError) else BatcherError
        raise kind(error.message, hint=moved) from error


def check_files(database: Store, places: Sequence[Path], *, sources: Iterable[str] = ()) -> None:
    """Raise UsageError for a file that cannot be written, is the store or any job's file, or is named twice."""
    protected = {file.resolve(): "the store" for file in database.files}
    with database.read() as connection:
        protected.update(
            {Path(path).resolve(): f"the job file of job {of}" for of, path in jobs.sources(connection)}
        )
    protected.update({Path(source).resolve(): "the job file" for source in sources})
    for place in places:
        check_target(place)
        what = protected.get(place.resolve())
        if what is not None:
            raise UsageError(f"{place} is {what}; it is not overwritten", hint=Cause.OTHER_OUTPUT())
    if len({place.resolve() for place in places}) < len(places):
        raise UsageError(f"results and errors would both go to {places[0]}", hint="name two files")


def check_author(place: Path, *, of_errors: bool = False) -> None:
    """Raise UsageError if the file there is a person's: no job wrote it, or it was edited since."""
    author = author_of(place)
    if author is NotOfAJob.NOTHING:
        return
    what = "errors file" if of_errors else "results file"
    hint = Cause.OTHER_RESULTS_FILE()
    if author is NotOfAJob.FOREIGN:
        raise UsageError(
            f"{place} is in the place of the {what}, but no job wrote it as it is; it is not replaced", hint=hint
        )
    if of_errors and author.is_result:
        raise UsageError(f"{place} holds the results of a job; no errors are written there", hint=hint)


def keep_earlier(places: Sequence[Path], *, public_id: str) -> list[Path]:
    """Rename what other jobs have written to these places, `out.jsonl` to `out.1.jsonl`; return the new names.

    All get the same number. Raises BatcherError if the first place holds a person's file, or if one cannot be
    renamed.
    """
    earlier = []
    for place in places:
        author = author_of(place)
        if author is NotOfAJob.FOREIGN and place is places[0]:
            raise BatcherError(
                f"{place} is no longer what a job wrote; it is not replaced",
                hint=Cause.WRITE_AGAIN(),
            )
        if not isinstance(author, NotOfAJob) and not author.is_job(public_id):
            earlier.append((place, author))
    number = 1
    while any(
        author_of(_numbered(place, number), only=author) not in {author, NotOfAJob.NOTHING}
        for place, author in earlier
    ):
        number += 1
    kept = []
    for place, _ in earlier:
        try:
            kept.append(place.rename(_numbered(place, number)))
        except OSError as error:
            raise BatcherError(
                f"cannot rename {place}, which holds the results of another job: {error.strerror}",
                hint="move it away, or name another output file",
            ) from error
    return kept


def _numbered(place: Path, number: int) -> Path:
    name, packed = _unpacked(place.name)
    plain = Path(name)
    return place.with_name(f"{plain.stem}.{number}{plain.suffix}{packed}")
