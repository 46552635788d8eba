"""`batcher dlq discard`."""

import click

from batcher.cli.commands.dlq.selection import Which, chosen_or_all, no_store
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import agreed
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import note, number, say

_EPILOG = """\b
Examples:
  batcher dlq discard 17 18
  batcher dlq discard --job 3 --code content_filter --yes    without being asked
"""


@click.command(epilog=_EPILOG)
@chosen_or_all
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
@click.pass_obj
def discard(session: Session, *, which: Which, yes: bool) -> int:
    """Give dead letters up: they are cancelled for good.

    REQUESTs by their number, or all that the filters mean, or --all. Asks first. Rows with the same body stay as
    they are, and so do the jobs; results and errors files written from then on lack these rows.
    """
    from batcher.services.dead_letters import discard as discarding  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415

    which.require()
    with opened_if_present(session.db, job=which.job) as database:
        if database is None:
            raise no_store(session.db)
        meant = discarding.plan_discard(database, which.filters(database))
        if not meant.ids:
            say("no dead letter is meant; nothing was discarded")
            return 0
        jobs = f"job{'s' if len(meant.jobs) > 1 else ''} {', '.join(str(job) for job in meant.jobs)}"
        if not agreed(f"Discard {_rows(len(meant.ids))} of {jobs}? They cannot be put back.", yes=yes):
            note("nothing was discarded")
            return FAILED
        count = discarding.discard(database, meant)
    say(f"{_rows(count)} cancelled; results and errors files lack {'it' if count == 1 else 'them'} from now on")
    say(f"next: batcher results {meant.jobs[0]} writes the files again")
    return 0


def _rows(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{number(count)} dead letters"
