"""`batcher dlq retry`."""

import click

from batcher.cli.commands.dlq.requeued import say_retried
from batcher.cli.commands.dlq.selection import Which, chosen_or_all, no_store
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import say
from batcher.domain.errors import UsageError
from batcher.policy.input.body_edit import Edit, read_set, read_unset, shown

_EPILOG = """\b
Examples:
  batcher dlq retry 17 18
  batcher dlq retry --job 3 --status 502
  batcher dlq retry --code context_length_exceeded --set model=gpt-4.1 --probe
  batcher dlq retry 17 --set messages.0.content='"Be brief."' --unset temperature
"""


@click.command(epilog=_EPILOG)
@chosen_or_all
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change the body: a dotted path (messages.0.content); VALUE is JSON if it parses, else a string.",
)
@click.option("--unset", "unsets", multiple=True, metavar="PATH", help="Take this out of the body.")
@click.option("--probe", is_flag=True, help="Send the smallest first; the others go back if it is answered.")
@shared
@click.pass_obj
def retry(session: Session, *, which: Which, sets: tuple[str, ...], unsets: tuple[str, ...], probe: bool) -> int:
    """Put dead letters back to pending, history kept.

    REQUESTs by their number, or all that the filters mean, or --all. Each has all its attempts again. Edited
    bodies are checked as a job file is: if one is refused, nothing is changed.
    """
    from batcher.services.dead_letters.retry import choose, put_back  # noqa: PLC0415
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415 - heavy modules only where they are used

    which.require()
    edits = _edits(sets, unsets)
    with opened_if_present(session.db, job=which.job) as database:
        if database is None:
            raise no_store(session.db)
        chosen = choose(database, which.filters(database), edits)
        if not chosen.ids:
            say("no dead letter is meant; nothing went back")
            return 0
        if probe:
            from batcher.cli.commands.dlq.probe import probe_first  # noqa: PLC0415

            return probe_first(database, chosen, session)
        say_retried(put_back(database, chosen))
    return 0


def _edits(sets: tuple[str, ...], unsets: tuple[str, ...]) -> list[Edit]:
    edits = [*map(read_set, sets), *map(read_unset, unsets)]
    paths = [edit.path for edit in edits]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"{shown(twice)} is set or unset twice", hint="give it once")
    return edits
