"""`batcher cancel`."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import row_count, say

if TYPE_CHECKING:
    from batcher.services.jobs.manage import Cancelled

_EPILOG = """\b
Example:
  batcher cancel 3
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="JOB")
@shared
@click.pass_obj
def cancel(session: Session, *, named: str) -> None:
    """Cancel what a job has not sent yet.

    Pending rows are cancelled for good; those in flight end as they end, and answers that are there stay.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415

    with manage.opened_for(session.db, named) as (database, job):
        done = manage.cancel(database, job, clock=SystemClock())
    if done.was_over:
        say(f"job {done.job.id} ({done.job.name}) is {done.job.state} already; there is nothing to cancel")
    else:
        say(f"job {done.job.id} ({done.job.name}) is cancelled: {row_count(done.requests)} will not be sent")
    if done.in_flight:
        ends = "ends as it ends" if done.in_flight == 1 else "end as they end"
        say(f"  {row_count(done.in_flight)} in flight {ends}")
    if done.held:
        say(f"  {_what_is_held(done)}")
    say(f"next: batcher results {done.job.id} writes the answers that are there")


def _what_is_held(done: "Cancelled") -> str:
    if done.runner is None:
        held = row_count(done.held)
        return f"a runner died with {held} in its hands; the next `run` or `resume` cancels what is left"
    return f"{row_count(done.held)} in the hands of the runner (pid {done.runner}) are cancelled within a second"
