"""`batcher dlq discard`: cancel dead letters permanently."""

import click

from batcher.cli.commands.dlq.selection import LetterSelection, no_store, selection_or_all_options
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import confirm
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import letter_count, note, say

_EPILOG = """\b
Examples:
  batcher dlq discard 17 18
  batcher dlq discard --job 3 --code content_filter --yes    without a question
"""


@click.command(epilog=_EPILOG)
@selection_or_all_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@shared
@click.pass_obj
def discard(session: Session, *, selection: LetterSelection, yes: bool) -> int:
    """Cancel dead letters permanently.

    Give REQUEST numbers, filters, or --all. Asks for confirmation first. Jobs and rows with the same body do not
    change. Results and errors files that are written later leave the discarded rows out.
    """
    from batcher.services.dead_letters import discard as discarding  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415

    selection.require()
    with opened_if_present(session.db, job=selection.job) as database:
        if database is None:
            raise no_store(session.db)
        meant = discarding.plan_discard(database, selection.filters(database))
        if not meant.ids:
            say("no dead letter matches; nothing was discarded")
            return 0
        jobs = f"job{'s' if len(meant.jobs) > 1 else ''} {', '.join(str(job) for job in meant.jobs)}"
        if not confirm(f"Discard {letter_count(len(meant.ids))} of {jobs}? This cannot be undone.", yes=yes):
            note("nothing was discarded")
            return FAILED
        count = discarding.discard(database, meant)
    pronoun = "it" if count == 1 else "them"
    say(f"{letter_count(count)} discarded; results and errors files written from now on leave {pronoun} out")
    say(f"next: batcher results {meant.jobs[0]} writes the files again")
    return 0
