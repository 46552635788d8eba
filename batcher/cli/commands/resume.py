"""`batcher resume`: run unfinished jobs to the end."""

import os

import click

from batcher.cli.params.job_options import settings
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import note, print_json, say
from batcher.config import Flags

_EPILOG = """\b
Examples:
  batcher resume              every unfinished job
  batcher resume 3            this one, by number or name
  batcher resume 3 --rpm 250  with another limit
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="[JOB]...", nargs=-1)
@click.option("-o", "--output", metavar="RESULTS", type=click.Path(), help="Where the results go; for one job.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON at the end.")
@settings
@shared
@click.pass_obj
def resume(session: Session, *, named: tuple[str, ...], output: str | None, as_json: bool, flags: Flags) -> int:
    """Run unfinished jobs to the end.

    All of them, or those named. A flag replaces what the job remembers. Writes what `run` would have written.
    With --json, of a single job its status; of several {"data": [...]}, as `status` has it.
    """
    from batcher.app import make_parts  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.cli.flows.run import run_to_end  # noqa: PLC0415
    from batcher.cli.flows.selection import chosen, with_flags  # noqa: PLC0415
    from batcher.services.jobs.manage import require_store  # noqa: PLC0415
    from batcher.services.store.open_store import exists, made  # noqa: PLC0415

    process = session.process(concurrency=flags.concurrency)
    parts = make_parts()
    if named or session.names_store:
        require_store(process.db, named)
    if not exists(process.db):
        _say_nothing(as_json=as_json)
        return 0
    with made(process.db, parts.clock) as database:
        jobs = chosen(database, named)
        if not jobs:
            _say_nothing(as_json=as_json)
            return 0
        changed = []
        for job in jobs:
            now, changes = with_flags(
                database, job, flags, output, environ=os.environ, config=session.file(), alone=len(jobs) == 1
            )
            changed.append(now)
            for change in changes:
                note(f"job {job.id}: now {change}")
        return run_to_end(
            database,
            changed,
            parts,
            session,
            concurrency=process.concurrency,
            as_json=as_json,
            listed=len(changed) != 1,
        )


def _say_nothing(*, as_json: bool) -> None:
    if as_json:
        print_json({"data": []})
    else:
        say("there is no unfinished job; `batcher run FILE` starts one")
