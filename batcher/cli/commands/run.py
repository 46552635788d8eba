"""`batcher run`: run a job file to the end and write its results."""

import os
from contextlib import ExitStack

import click
from msgspec.structs import replace

from batcher.cli.params.job_options import FileOptions, file_options
from batcher.cli.params.session import Session, shared
from batcher.cli.params.setting_options import setting_options
from batcher.config import Flags
from batcher.config.table import CONCURRENCY

_EPILOG = """\b
Examples:
  batcher run job.jsonl --simulate            try it without a key
  batcher run job.jsonl                       OpenAI; the key is in OPENAI_API_KEY
  batcher run job.jsonl --rpm 500 --tpm 200k -o answers.jsonl
  batcher run job.jsonl --base-url http://127.0.0.1:8000/v1
"""


@click.command(epilog=_EPILOG)
@file_options
@setting_options
@shared
@click.pass_obj
def run(session: Session, *, given: FileOptions, flags: Flags) -> int:
    """Run a job file to the end and write its results.

    FILE is JSON Lines with one request per line, either OpenAI batch lines or bare bodies. It may be compressed
    (.gz, .zst); `-` is stdin. If the run is interrupted, the same command continues it. If the job is finished,
    the results are written again and nothing is sent.
    """
    from batcher.app import make_parts  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.cli.flows.run import run_to_end  # noqa: PLC0415
    from batcher.cli.flows.submit import opened_file, store  # noqa: PLC0415
    from batcher.services.store.open_store import open_or_create  # noqa: PLC0415

    process = session.process(concurrency=flags.get(CONCURRENCY))
    parts = make_parts()
    environ, config = os.environ, session.file()
    with ExitStack() as opened:
        source = opened.enter_context(opened_file(given, flags, db=process.db, environ=environ, config=config))
        database = opened.enter_context(open_or_create(process.db, parts.clock))
        options = replace(given, quiet=session.quiet, runs=True)
        stored = store(database, source, options, flags, environ=environ, config=config, clock=parts.clock)
        source.close()
        return run_to_end(
            database,
            [stored.job],
            parts,
            session,
            concurrency=process.concurrency,
            as_json=given.as_json,
            own_places={} if stored.place is None else {stored.job.id: stored.place},
        )
