"""`batcher run`: submit, run to the end, write the results."""

import os

import click
from msgspec.structs import replace

from batcher.cli.params.job_options import FileOptions, of_a_file, settings
from batcher.cli.params.session import Session, shared
from batcher.config import Flags

_EPILOG = """\b
Examples:
  batcher run job.jsonl --simulate            try it, without a key
  batcher run job.jsonl                       OPENAI_API_KEY, limits as announced
  batcher run job.jsonl --rpm 500 --tpm 200k -o answers.jsonl
  batcher run job.jsonl --base-url http://127.0.0.1:8000/v1
"""


@click.command(epilog=_EPILOG)
@of_a_file
@settings
@shared
@click.pass_obj
def run(session: Session, *, given: FileOptions, flags: Flags) -> int:
    """Submit a job file, run it to the end, write its results.

    FILE is JSON Lines, one request a line: OpenAI batch lines, or bare bodies; also .gz and .zst; `-` is stdin.
    The same file goes on where it stopped; a finished one is written again without sending anything.
    """
    from batcher.app import make_parts  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.cli.flows.run import run_to_end  # noqa: PLC0415
    from batcher.cli.flows.submit import store  # noqa: PLC0415
    from batcher.services.store.open_store import made  # noqa: PLC0415

    process = session.process(concurrency=flags.concurrency)
    parts = make_parts()
    with made(process.db, parts.clock) as database:
        taken = replace(given, quiet=session.quiet, runs=True)
        job = store(database, taken, flags, environ=os.environ, config=session.file(), clock=parts.clock)
        return run_to_end(database, [job], parts, session, concurrency=process.concurrency, as_json=given.as_json)
