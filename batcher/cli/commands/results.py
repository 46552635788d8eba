"""`batcher results`: write what is there, in input order."""

import sys
from typing import BinaryIO

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import note, shown_path
from batcher.policy.privacy.sanitize import sanitize_json

_EPILOG = """\b
Examples:
  batcher results                        the newest job, where run would have written it
  batcher results 3 -o answers.jsonl     errors go beside it, to answers.errors.jsonl
  batcher results gsm8k -o - | head      to stdout
  batcher results 3 --partial            what is there so far
"""


class _Shown:
    """A terminal: what would act on it comes in JSON's escapes. A file or a pipe gets the provider's own bytes."""

    def __init__(self, stdout: BinaryIO) -> None:
        self._stdout = stdout

    def write(self, line: bytes, /) -> int:
        """Write one line."""
        return self._stdout.write(sanitize_json(line))


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="[JOB]", required=False)
@click.option(
    "-o", "--output", metavar="FILE", help="Where the results go; `-` is stdout.  [default: as run would]"
)
@click.option("--errors", metavar="FILE", help="Where the errors go.  [default: beside the results]")
@click.option("--partial", is_flag=True, help="Also of a job that is not finished.")
@shared
@click.pass_obj
def results(session: Session, *, named: str | None, output: str | None, errors: str | None, partial: bool) -> None:
    """Write the answers of a job, in input order.

    Of the newest job unless one is named. Rows that failed go to an errors file; with `-o -` only where --errors
    names one.
    """
    from batcher.services.jobs.manage import opened_for  # noqa: PLC0415
    from batcher.services.results import write as writing  # noqa: PLC0415 - heavy modules only where they are used

    with opened_for(session.db, named) as (database, job):
        if not partial:
            writing.require_finished(database, job)
        out = _Shown(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
        done = writing.write(database, job, output=output, errors=errors, stdout=out)
    sys.stdout.buffer.flush()
    where = "stdout" if done.results == writing.STDOUT else shown_path(done.results)
    note(f"job {job.id} ({job.name}): {done.answered:,} answers → {where}")
    if done.errors is not None:
        told = f"`batcher dlq summary --job {job.id}` says what to do"
        note(f"  {done.failed:,} errors → {shown_path(done.errors)}; {told}")
