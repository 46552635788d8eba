"""`batcher dlq export`: write dead letters as a job file."""

import shlex

import click

from batcher.cli.commands.dlq.selection import LetterSelection, no_store, selection_options
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.messages import plain_words
from batcher.cli.terminal.output import display_path, letter_count, note
from batcher.cli.terminal.streams import StdoutWriter
from batcher.files.writing import is_stdout

_EPILOG = """\b
Examples:
  batcher dlq export -o fix.jsonl --code context_length_exceeded
  batcher dlq export -o - 17 18
"""


@click.command(epilog=_EPILOG)
@selection_options
@click.option("-o", "--output", required=True, metavar="FILE", help="Job file to write; `-` is stdout.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@shared
@click.pass_obj
def export(session: Session, *, selection: LetterSelection, output: str, force: bool) -> None:
    """Write dead letters as a job file.

    Give REQUEST numbers or filters; without them, all dead letters are written. The file holds the custom_id and
    the current body of each, byte for byte. You can fix the file and run it as a new job; the dead letters stay.
    """
    from batcher.services.dead_letters import export as extracting  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415

    with opened_if_present(session.db, job=selection.job) as database:
        if database is None:
            raise no_store(session.db)
        filters = selection.filters(database)
        stdout = StdoutWriter()
        done = extracting.extract(database, filters, output=output, stdout=stdout, force=force)
    stdout.flush()
    if not done.count:
        note("no dead letter matches; nothing was written")
        return
    letters = letter_count(done.count)
    if is_stdout(output):
        note(f"{letters} → stdout")
        return
    note(f"{letters} → {display_path(output)}")
    options = f" {plain_words(done.endpoint)}" if done.endpoint else ""
    # Without an edit, the file may equal the job's own file; without --new nothing would be sent then.
    note(f"next: fix the lines, then batcher run {shlex.quote(display_path(output))} --new{options}")
