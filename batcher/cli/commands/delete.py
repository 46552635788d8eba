"""`batcher delete`: delete jobs and their answers from the store."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import confirm
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import note, row_count, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.domain.jobs import Job

_EPILOG = """\b
Examples:
  batcher delete 3
  batcher delete 1 2 3
  batcher delete gsm8k --yes    without a question
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="JOB...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@shared
@click.pass_obj
def delete(session: Session, *, named: tuple[str, ...], yes: bool) -> int:
    """Delete jobs and their answers from the store.

    JOB is a number or a unique name. Result files stay, and so does an answer that rows of other jobs
    share. Asks for confirmation first. If one of the jobs is unknown or running, none is deleted.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415
    from batcher.services.store.open_store import open_existing  # noqa: PLC0415

    manage.require_store(session.db, named)
    with open_existing(session.db) as database:
        jobs = list({job.id: job for job in (manage.find(database, name) for name in named)}.values())
        for job in jobs:
            manage.refuse_if_running(database, job)
        if not confirm(_question(jobs), yes=yes):
            note("nothing was deleted")
            return FAILED
        for job in jobs:
            done = manage.delete(database, job, clock=SystemClock())
            say(f"job {job.id} ({job.name}) was deleted: {row_count(done.requests)} and their answers")
    return 0


def _question(jobs: "Sequence[Job]") -> str:
    rows = row_count(sum(job.total for job in jobs))
    each = [f"{job.id} ({job.name})" for job in jobs]
    return f"Delete job{'' if len(jobs) == 1 else 's'} {', '.join(each)} with {rows} and their answers?"
