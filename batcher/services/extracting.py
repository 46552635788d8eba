"""Dead letters taken out as a job file, which can be run again as it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.files.writing import write_atomically
from batcher.policy.job_lines import job_line
from batcher.services.exporting import check_files, write_lines
from batcher.services.redriving import chosen_ids
from batcher.store import jobs, lines, meant
from batcher.store.dead_letters import Filters
from batcher.store.engine import Database

#: The name of stdout among output files.
STDOUT: Final = "-"


class Extracted(Struct, frozen=True, kw_only=True):
    """What was written; `base_urls` is where the rows' jobs send to."""

    count: int
    base_urls: list[str]


def extract(database: Database, filters: Filters, *, output: str, stdout: BinaryIO) -> Extracted:
    """Write what the filters mean to `output` (`-`: stdout), in file order; no file where that is nothing.

    Raises UsageError before it writes: for a request that is no dead letter, a file that may not be written, a
    custom_id that stands in several jobs.
    """
    chosen_ids(database, filters)
    with database.read() as connection:
        of = list(meant.by_job(connection, filters))
        sources = [job.source_path for job in (jobs.get(connection, each) for each in of) if job.source_path]
        base_urls = lines.base_urls(connection, of)
        shared = lines.shared_custom_id(connection, filters) if len(of) > 1 else None
    if shared is not None:
        first, last = shared.jobs
        raise UsageError(
            f'custom_id "{shared.custom_id}" stands in job {first} and in job {last}; in one file it cannot',
            hint=f"export one job at a time: --job {first}",
        )
    if output == STDOUT:
        count = write_lines(stdout, _lines(database, filters))
        return Extracted(count=count, base_urls=base_urls)
    check_files(database, [Path(output)], sources=sources)
    if not of:
        return Extracted(count=0, base_urls=[])
    with write_atomically(Path(output)) as file:
        count = write_lines(file, _lines(database, filters))
    return Extracted(count=count, base_urls=base_urls)


def _lines(database: Database, filters: Filters) -> Iterator[bytes]:
    with database.read() as connection:
        for line in lines.lines(connection, meant.ids(connection, filters)):
            yield job_line(line.custom_id, line.path, line.body)
