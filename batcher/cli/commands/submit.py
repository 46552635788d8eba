"""`batcher submit`: check and store a job file, to run it later."""

import os
from contextlib import ExitStack

import click
from msgspec.structs import replace

from batcher.cli.params.job_options import FileOptions, file_options
from batcher.cli.params.session import Session, shared
from batcher.cli.params.setting_options import setting_options
from batcher.cli.terminal.output import print_json, say
from batcher.config import Flags
from batcher.domain.states import JobState

_EPILOG = """\b
Examples:
  batcher submit job.jsonl --rpm 500    check and store the file
  batcher resume                        run it
"""


@click.command(epilog=_EPILOG)
@file_options
@setting_options
@shared
@click.pass_obj
def submit(session: Session, *, given: FileOptions, flags: Flags) -> None:
    """Check and store a job file, to run it later.

    Prints the number of the job. If the file already has a job, that job is used, and the given options replace
    its own.
    """
    from batcher.cli.flows.submit import opened_file, store  # noqa: PLC0415
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.monitor.status import job_status  # noqa: PLC0415
    from batcher.services.store.open_store import open_or_create  # noqa: PLC0415

    clock = SystemClock()
    environ, config = os.environ, session.file()
    with ExitStack() as opened:
        source = opened.enter_context(opened_file(given, flags, db=session.db, environ=environ, config=config))
        database = opened.enter_context(open_or_create(session.db, clock))
        options = replace(given, quiet=session.quiet)
        job = store(database, source, options, flags, environ=environ, config=config, clock=clock).job
        if given.as_json:
            print_json(job_status(database, job, now=clock.now()))
            return
        say(str(job.id))
        say(f"next: batcher {'resume' if job.state is JobState.OPEN else 'results'} {job.id}")
