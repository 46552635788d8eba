"""`batcher results`: write the results of a job, in input order."""

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import display_path, note
from batcher.cli.terminal.streams import StdoutWriter

_EPILOG = """\b
Examples:
  batcher results                        the newest job, to the file of `batcher run`
  batcher results 3 -o answers.jsonl     errors go to answers.errors.jsonl
  batcher results gsm8k -o - | head      to stdout
  batcher results 3 --partial            the results so far
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="[JOB]", required=False)
@click.option(
    "-o", "--output", metavar="FILE", help="Results file; `-` is stdout.  [default: the file of `batcher run`]"
)
@click.option("--errors", metavar="FILE", help="Errors file.  [default: beside the results file]")
@click.option("--partial", is_flag=True, help="Write the results so far of an unfinished job.")
@shared
@click.pass_obj
def results(session: Session, *, named: str | None, output: str | None, errors: str | None, partial: bool) -> None:
    """Write the results of a job, in input order.

    JOB is a number or a unique name; without it, the newest job is used. Rows without an answer go to an errors
    file, which `-o -` writes only if --errors names one.
    """
    from batcher.services.jobs.manage import opened_for  # noqa: PLC0415
    from batcher.services.results import write as writing  # noqa: PLC0415 - heavy modules only where they are used

    with opened_for(session.db, named) as (database, job):
        if not partial:
            writing.require_finished(database, job)
        stdout = StdoutWriter()
        done = writing.write(database, job, output=output, errors=errors, stdout=stdout)
    stdout.flush()
    where = "stdout" if done.results == writing.STDOUT else display_path(done.results)
    note(f"job {job.id} ({job.name}): {done.answered:,} answered → {where}")
    for place in done.kept:
        note(f"  what another job had written there is kept as {display_path(place)}")
    if done.errors is not None:
        rows = "1 row" if done.failed == 1 else f"{done.failed:,} rows"
        hint = f"`batcher dlq summary --job {job.id}` shows causes and fixes"
        note(f"  {rows} without an answer → {display_path(done.errors)}; {hint}")
