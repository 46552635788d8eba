"""`batcher delete`."""

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import agreed
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import note, row_count, say

_EPILOG = """\b
Examples:
  batcher delete 3
  batcher delete gsm8k --yes    without being asked
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="JOB")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
@click.pass_obj
def delete(session: Session, *, named: str, yes: bool) -> int:
    """Remove a job and its results.

    From the store; files that were written stay. Asks first. An answer that rows of other jobs share is kept.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415

    with manage.opened_for(session.db, named) as (database, job):
        question = f"Delete job {job.id} ({job.name}) with {row_count(job.total)} and their answers?"
        if not agreed(question, yes=yes):
            note("nothing was deleted")
            return FAILED
        done = manage.delete(database, job, clock=SystemClock())
    say(f"job {done.job.id} ({done.job.name}) is deleted: {row_count(done.requests)} and their answers")
    return 0
