"""`batcher dlq export`."""

import shlex
import sys
from typing import TYPE_CHECKING

import click

from batcher.cli.commands.dlq.selection import Which, chosen, no_store
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import note, number, shown_path

if TYPE_CHECKING:
    from batcher.services.dead_letters.export import Extracted

_EPILOG = """\b
Examples:
  batcher dlq export -o mend.jsonl --code context_length_exceeded
  batcher dlq export -o - 17 18
"""


@click.command(epilog=_EPILOG)
@chosen
@click.option("-o", "--output", required=True, metavar="FILE", help="Where the lines go; `-` is stdout.")
@click.option("--force", is_flag=True, help="Replace FILE.")
@shared
@click.pass_obj
def export(session: Session, *, which: Which, output: str, force: bool) -> None:
    """Write dead letters as a job file again.

    All of them, or those that are named or meant by the filters: their bodies as they stand now, byte for byte,
    under their custom_ids. They stay dead letters; the file can be mended and run as a job of its own.
    """
    from batcher.services.dead_letters import export as extracting  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415

    with opened_if_present(session.db, job=which.job) as database:
        if database is None:
            raise no_store(session.db)
        filters = which.filters(database)
        done = extracting.extract(database, filters, output=output, stdout=sys.stdout.buffer, force=force)
    sys.stdout.buffer.flush()
    if not done.count:
        note("no dead letter is meant; nothing was written")
        return
    rows = "1 dead letter" if done.count == 1 else f"{number(done.count)} dead letters"
    if output == extracting.STDOUT:
        note(f"{rows} → stdout")
        return
    note(f"{rows} → {shown_path(output)}")
    # As it is, the file may equal the one that the job came from: without --new nothing would be sent.
    note(f"next: mend the lines, then batcher run {shlex.quote(shown_path(output))} --new{_where(done)}")


def _where(done: "Extracted") -> str:
    """The option that sends the rows where their jobs did; the simulated provider has no address of its own."""
    if done.simulated:
        return " --simulate"
    return f" --base-url {shlex.quote(done.base_urls[0])}" if len(done.base_urls) == 1 else ""
