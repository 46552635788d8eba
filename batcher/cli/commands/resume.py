"""`batcher resume`: run unfinished jobs to the end."""

import os
from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.params.setting_options import setting_options
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import note, print_json, say
from batcher.config import Flags
from batcher.config.table import CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.domain.errors import UsageError
    from batcher.domain.jobs import Job

_EPILOG = """\b
Examples:
  batcher resume              all unfinished jobs
  batcher resume 3            one job, by number or name
  batcher resume 3 --rpm 250  one job, with another limit
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="[JOB]...", nargs=-1)
@click.option("-o", "--output", metavar="RESULTS", type=click.Path(), help="Results file, if one job is run.")
@click.option("--json", "as_json", is_flag=True, help="Print the status of the jobs as JSON at the end.")
@setting_options
@shared
@click.pass_obj
def resume(session: Session, *, named: tuple[str, ...], output: str | None, as_json: bool, flags: Flags) -> int:
    """Run unfinished jobs to the end.

    JOB is a number or a unique name; without one, all unfinished jobs are run. A job that cannot run, because its
    key is missing for example, does not keep the others from it. Options replace the settings that a job has
    stored. Writes the same results as `batcher run`. With --json, prints the status of a single job, or
    {"data": [...]} for several.
    """
    from batcher.app import make_parts  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.cli.flows.limit_notes import say_limits_without_model  # noqa: PLC0415
    from batcher.cli.flows.run import run_to_end  # noqa: PLC0415
    from batcher.cli.flows.selection import prepare, select_jobs  # noqa: PLC0415
    from batcher.cli.flows.summary import with_blocked  # noqa: PLC0415
    from batcher.services.jobs.manage import models_of, require_store  # noqa: PLC0415
    from batcher.services.store.open_store import exists, open_or_create  # noqa: PLC0415

    process = session.process(concurrency=flags.get(CONCURRENCY))
    parts = make_parts()
    if named or session.has_named_store:
        require_store(process.db, named)
    if not exists(process.db):
        _say_no_jobs(as_json=as_json)
        return 0
    with open_or_create(process.db, parts.clock) as database:
        jobs = select_jobs(database, named)
        if not jobs:
            _say_no_jobs(as_json=as_json)
            return 0
        prepared = prepare(
            database, jobs, flags, output, environ=os.environ, config=session.file(), are_named=bool(named)
        )
        for change in prepared.changes:
            note(change)
        say_limits_without_model(models_of(database, prepared.ready), flags)
        _say_blocked(prepared.blocked)
        code = run_to_end(
            database,
            prepared.ready,
            parts,
            session,
            concurrency=process.concurrency,
            as_json=as_json,
            as_list=len(jobs) != 1,
            left_out=[job for job, _ in prepared.blocked],
        )
        _say_blocked(prepared.blocked)
        return with_blocked(code) if prepared.blocked else code


def _say_blocked(blocked: "Sequence[tuple[Job, UsageError]]") -> None:
    """Say which jobs do not run, and what each needs: before the others run, and once more after them."""
    for _, error in blocked:
        note(f"not run: {words(error.message)}")
        if error.hint:
            note(f"  → {words(error.hint)}")


def _say_no_jobs(*, as_json: bool) -> None:
    if as_json:
        print_json({"data": []})
    else:
        say("there is no unfinished job; `batcher run FILE` starts one")
