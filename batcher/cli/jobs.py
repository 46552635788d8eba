"""`batcher cancel` and `batcher delete`."""

from typing import TYPE_CHECKING

import click

from batcher.cli.asking import agreed
from batcher.cli.failing import FAILED
from batcher.cli.output import note, number, say
from batcher.cli.session import Session, shared

if TYPE_CHECKING:
    from batcher.services.jobs import Cancelled

_CANCEL_EPILOG = """\b
Example:
  batcher cancel 3
"""

_DELETE_EPILOG = """\b
Examples:
  batcher delete 3
  batcher delete gsm8k --yes    without being asked
"""


@click.command(epilog=_CANCEL_EPILOG)
@click.argument("named", metavar="JOB")
@shared
@click.pass_obj
def cancel(session: Session, *, named: str) -> None:
    """Cancel what a job has not sent yet.

    Pending rows are cancelled for good; those in flight end as they end, and answers that are there stay.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services import jobs  # noqa: PLC0415

    with jobs.opened_for(session.db, named) as (database, job):
        done = jobs.cancel(database, job, clock=SystemClock())
    if done.was_over:
        say(f"job {done.job.id} ({done.job.name}) is {done.job.state} already; there is nothing to cancel")
    else:
        say(f"job {done.job.id} ({done.job.name}) is cancelled: {_rows(done.requests)} will not be sent")
    if done.in_flight:
        ends = "ends as it ends" if done.in_flight == 1 else "end as they end"
        say(f"  {_rows(done.in_flight)} in flight {ends}")
    if done.held:
        say(f"  {_what_is_held(done)}")
    say(f"next: batcher results {done.job.id} writes the answers that are there")


def _what_is_held(done: "Cancelled") -> str:
    if done.runner is None:
        return (
            f"a runner died with {_rows(done.held)} in its hands; the next `run` or `resume` cancels what is left"
        )
    return f"{_rows(done.held)} in the hands of the runner (pid {done.runner}) are cancelled within a second"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{number(count)} rows"


@click.command(epilog=_DELETE_EPILOG)
@click.argument("named", metavar="JOB")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
@click.pass_obj
def delete(session: Session, *, named: str, yes: bool) -> int:
    """Remove a job and its results.

    From the store; files that were written stay. Asks first. An answer that rows of other jobs share is kept.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services import jobs  # noqa: PLC0415

    with jobs.opened_for(session.db, named) as (database, job):
        question = f"Delete job {job.id} ({job.name}) with {_rows(job.total)} and their answers?"
        if not agreed(question, yes=yes):
            note("nothing was deleted")
            return FAILED
        done = jobs.delete(database, job, clock=SystemClock())
    say(f"job {done.job.id} ({done.job.name}) is deleted: {_rows(done.requests)} and their answers")
    return 0
