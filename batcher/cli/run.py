"""`batcher run`: submit, run to the end, write the results."""

import os

import click

from batcher.cli.options import settings
from batcher.cli.session import Session, shared
from batcher.config import Flags

_EPILOG = """\b
Examples:
  batcher run job.jsonl --simulate            try it, without a key
  batcher run job.jsonl                       OPENAI_API_KEY, limits as announced
  batcher run job.jsonl --rpm 500 --tpm 200k -o answers.jsonl
  batcher run job.jsonl --base-url http://127.0.0.1:8000/v1
"""


@click.command(epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option(
    "-o", "--output", metavar="RESULTS", help="Where the results go.  [default: FILE's stem + .results.jsonl]"
)
@click.option("--new", is_flag=True, help="Make a new job even where this file is known.")
@click.option("--name", metavar="N", help="Name the job.  [default: FILE's stem]")
@click.option("--url", metavar="PATH", help="Endpoint of bare bodies that have no `messages`, as /v1/embeddings.")
@click.option("--skip-invalid", is_flag=True, help="Run the good lines; the bad ones stand in the errors file.")
@click.option("--retry-dead", is_flag=True, help="Of a known file, put the dead letters back first.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's status as JSON at the end.")
@settings
@shared
@click.pass_obj
def run(
    session: Session,
    *,
    file: str,
    output: str | None,
    new: bool,
    name: str | None,
    url: str | None,
    skip_invalid: bool,
    retry_dead: bool,
    as_json: bool,
    flags: Flags,
) -> int:
    """Submit a job file, run it to the end, write its results.

    FILE is JSON Lines, one request a line: OpenAI batch lines, or bare bodies; also .gz and .zst; `-` is stdin.
    The same file goes on where it stopped; a finished one is written again without sending anything.
    """
    from batcher.app import make_parts  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.cli.running import run_to_end  # noqa: PLC0415
    from batcher.cli.storing import Intake, store  # noqa: PLC0415
    from batcher.services.opening import made  # noqa: PLC0415

    process = session.process(concurrency=flags.concurrency)
    intake = Intake(
        file=file,
        output=output,
        new=new,
        name=name,
        url=url,
        skip_invalid=skip_invalid,
        retry_dead=retry_dead,
        keep_all_bad=as_json,
        quiet=session.quiet,
        runs=True,
    )
    parts = make_parts()
    with made(process.db, parts.clock) as database:
        job = store(database, intake, flags, environ=os.environ, config=session.file(), clock=parts.clock)
        return run_to_end(database, [job], parts, session, concurrency=process.concurrency, as_json=as_json)
