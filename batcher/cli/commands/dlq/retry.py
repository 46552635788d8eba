"""`batcher dlq retry`: requeue dead letters, edited on request."""

from typing import TYPE_CHECKING

import click

from batcher.cli.commands.dlq.selection import LetterSelection, no_store, selection_or_all_options
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import confirm
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import letter_count, note, say
from batcher.domain.errors import UsageError
from batcher.policy.input.body_edit import Edit, read_move, read_set, read_unset, shown

if TYPE_CHECKING:
    from batcher.services.dead_letters.retry import Retried

_EPILOG = """\b
Examples:
  batcher dlq retry 17 18
  batcher dlq retry --job 3 --status 502
  batcher dlq retry --code context_length_exceeded --set model=gpt-4.1 --probe
  batcher dlq retry --job 3 --move max_tokens=max_completion_tokens
  batcher dlq retry 17 --set messages.0.content='"Be brief."' --unset temperature
"""


@click.command(epilog=_EPILOG)
@selection_or_all_options
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Set a value in the body: PATH is dotted (messages.0.content), VALUE is JSON or plain text.",
)
@click.option("--unset", "unsets", multiple=True, metavar="PATH", help="Remove a value from the body.")
@click.option(
    "--move",
    "moves",
    multiple=True,
    metavar="FROM=TO",
    help="Move a value to another path (max_tokens=max_completion_tokens); rows without it stay as they are.",
)
@click.option(
    "--probe",
    is_flag=True,
    help="Send one row now as a test, the smallest; requeue the others only if it is answered.",
)
@click.option("--yes", "--add", "yes", is_flag=True, help="Do not ask before --set adds a key that no row has.")
@shared
@click.pass_obj
def retry(
    session: Session,
    *,
    selection: LetterSelection,
    sets: tuple[str, ...],
    unsets: tuple[str, ...],
    moves: tuple[str, ...],
    probe: bool,
    yes: bool,
) -> int:
    """Requeue dead letters, edited on request.

    Give REQUEST numbers, filters, or --all. The rows become pending again with all their attempts, and their
    history is kept. Edited bodies are checked like a job file; if one is invalid, nothing changes.
    """
    from batcher.services.dead_letters.retry import choose, put_back  # noqa: PLC0415
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415 - heavy modules only where they are used

    selection.require()
    edits = _edits(sets, unsets, moves)
    with opened_if_present(session.db, job=selection.job) as database:
        if database is None:
            raise no_store(session.db)
        chosen = choose(database, selection.filters(database), edits)
        if not chosen.ids:
            say("no dead letter matches; nothing was requeued")
            return 0
        for question in chosen.checked.additions if chosen.checked is not None else ():
            if not confirm(question, yes=yes):
                note("nothing was changed")
                return FAILED
        if probe:
            from batcher.cli.commands.dlq.probe import probe_first  # noqa: PLC0415

            return probe_first(database, chosen, session)
        say_retried(put_back(database, chosen))
    return 0


def say_retried(done: "Retried") -> None:
    """Report requeued dead letters, and what sends them."""
    verb, pronoun = ("is", "it") if done.count == 1 else ("are", "them")
    say(f"{letter_count(done.count)} {verb} pending again, with all attempts")
    if done.runner is not None:
        say(f"the runner that is using this store (pid {done.runner}) will send {pronoun}")
    elif done.jobs:
        say(f"next: batcher resume {' '.join(str(job) for job in done.jobs)}")


def _edits(sets: tuple[str, ...], unsets: tuple[str, ...], moves: tuple[str, ...]) -> list[Edit]:
    edits = [
        *(read_move(each, option="--move ") for each in moves),
        *(read_set(each, option="--set ") for each in sets),
        *(read_unset(each, option="--unset ") for each in unsets),
    ]
    paths = [path for edit in edits for path in (edit.path, edit.source) if path is not None]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"{shown(twice)} is set, unset or moved twice", hint="give it once")
    return edits
