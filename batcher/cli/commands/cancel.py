"""`batcher cancel`: cancel the pending rows of a job."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import row_count, say

if TYPE_CHECKING:
    from batcher.services.jobs.manage import Cancelled

_EPILOG = """\b
Examples:
  batcher cancel 3
  batcher cancel gsm8k
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="JOB")
@shared
@click.pass_obj
def cancel(session: Session, *, named: str) -> None:
    """Cancel the pending rows of a job.

    JOB is a number or a unique name. Cancelled rows are never sent. Rows in flight finish, and answers are kept.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415

    with manage.opened_for(session.db, named) as (database, job):
        done = manage.cancel(database, job, clock=SystemClock())
    if done.was_over:
        say(f"job {done.job.id} ({done.job.name}) is already {done.job.state}; there is nothing to cancel")
    else:
        say(f"job {done.job.id} ({done.job.name}) is cancelled: {row_count(done.requests)} will not be sent")
    if done.in_flight:
        say(f"  {row_count(done.in_flight)} in flight will finish")
    if done.held:
        say(f"  {_describe_claimed(done)}")
    say(f"next: batcher results {done.job.id} writes the answers so far")


def _describe_claimed(done: "Cancelled") -> str:
    rows = row_count(done.held)
    if done.runner is None:
        return f"a runner died with {rows} claimed; the next `batcher run` or `batcher resume` cancels the rest"
    return f"{rows} claimed by the runner (pid {done.runner}) will be cancelled within a second"
