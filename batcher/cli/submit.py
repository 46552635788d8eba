"""`batcher submit`: check and store; run it later."""

import os

import click

from batcher.cli.options import settings
from batcher.cli.output import print_json, say
from batcher.cli.session import Session, shared
from batcher.config import Flags
from batcher.domain.states import JobState

_EPILOG = """\b
Example:
  batcher submit job.jsonl --rpm 500
  batcher resume
"""


@click.command(epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("-o", "--output", metavar="RESULTS", type=click.Path(), help="Where the results will go.")
@click.option("--new", is_flag=True, help="Make a new job even where this file is known.")
@click.option("--name", metavar="N", help="Name the job.  [default: FILE's stem]")
@click.option("--url", metavar="PATH", help="Endpoint of bare bodies that have no `messages`, as /v1/embeddings.")
@click.option(
    "--skip-invalid", is_flag=True, help="Store the good lines; the bad ones will stand in the errors file."
)
@click.option("--retry-dead", is_flag=True, help="Of a known file, put the dead letters back.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's status as JSON.")
@settings
@shared
@click.pass_obj
def submit(
    session: Session,
    *,
    file: str,
    output: str | None,
    new: bool,
    name: str | None,
    url: str | None,
    skip_invalid: bool,
    retry_dead: bool,
    as_json: bool,
    flags: Flags,
) -> None:
    """Check and store a job file; run it later.

    Prints the job's number: of the job that is there, if the file is known.
    """
    from batcher.cli.storing import Intake, store  # noqa: PLC0415
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.opening import made  # noqa: PLC0415
    from batcher.services.status import job_status  # noqa: PLC0415

    intake = Intake(
        file=file,
        output=output,
        new=new,
        name=name,
        url=url,
        skip_invalid=skip_invalid,
        retry_dead=retry_dead,
        keep_all_bad=as_json,
        quiet=session.quiet,
        runs=False,
    )
    clock = SystemClock()
    with made(session.db, clock) as database:
        job = store(database, intake, flags, environ=os.environ, config=session.file(), clock=clock)
        if as_json:
            print_json(job_status(database, job))
            return
        say(str(job.id))
        say(f"next: batcher {'resume' if job.state is JobState.OPEN else 'results'} {job.id}")
