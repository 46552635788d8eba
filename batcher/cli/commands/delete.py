"""`batcher delete`: delete a job and its answers from the store."""

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import confirm
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import note, row_count, say

_EPILOG = """\b
Examples:
  batcher delete 3
  batcher delete gsm8k --yes    without a question
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="JOB")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@shared
@click.pass_obj
def delete(session: Session, *, named: str, yes: bool) -> int:
    """Delete a job and its answers from the store.

    JOB is a number or a unique name. Result files stay, and so does an answer that rows of other jobs
    share. Asks for confirmation first.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415

    with manage.opened_for(session.db, named) as (database, job):
        question = f"Delete job {job.id} ({job.name}) with {row_count(job.total)} and their answers?"
        if not confirm(question, yes=yes):
            note("nothing was deleted")
            return FAILED
        done = manage.delete(database, job, clock=SystemClock())
    say(f"job {done.job.id} ({done.job.name}) was deleted: {row_count(done.requests)} and their answers")
    return 0
