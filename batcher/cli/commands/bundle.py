"""`batcher bundle`: diagnostics for a support request in one zip file."""

import os
from pathlib import Path

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.messages import plain_words
from batcher.cli.terminal.output import number, print_json, say, size

_EPILOG = """\b
Examples:
  batcher bundle -o support.zip                              the newest job
  batcher bundle --job gsm8k -o support.zip                  one job
  batcher bundle --request 17 -o support.zip --with-content  one request, with its prompt
"""

#: SQLite's largest integer; no request has a larger number.
_LARGEST_REQUEST = 2**63 - 1


@click.command(epilog=_EPILOG)
@click.option("--job", metavar="JOB", help="Job, by number or unique name.  [default: the newest job]")
@click.option(
    "--request",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only this request, by the number that `batcher dlq list` prints.",
)
@click.option("-o", "--output", metavar="FILE.zip", required=True, help="Bundle to write.")
@click.option("--with-content", is_flag=True, help="Include the prompts and answers of failed requests.")
@click.option("--force", is_flag=True, help="Replace FILE.zip if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def bundle(
    session: Session,
    *,
    job: str | None,
    request: int | None,
    output: str,
    with_content: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Pack diagnostics for a support request into one zip.

    The bundle holds versions, settings, status, attempts with the provider's request ids, causes of failure, the
    structure of requests, and a README with steps to reproduce the problem. It never holds a key, and holds
    prompts only with --with-content.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.domain.ids import RequestId  # noqa: PLC0415
    from batcher.services.diagnostics.bundle import BundleOptions, write_bundle  # noqa: PLC0415
    from batcher.services.jobs.manage import opened_for  # noqa: PLC0415

    request_id = None if request is None else RequestId(min(request, _LARGEST_REQUEST))
    choice = BundleOptions(job=job, request=request_id, with_content=with_content)
    with opened_for(session.db, job) as (database, _):
        done = write_bundle(
            database,
            choice,
            Path(output),
            now=SystemClock().now(),
            zone=None,
            environ=os.environ,
            force=force,
            words=plain_words,
        )
    if as_json:
        print_json(done)
        return
    say(f"job {done.job} → {output} ({size(done.bytes)}, {number(len(done.members))} files)")
    for each in done.left_out:
        say(f"  left out: {each}")
    if with_content:
        say("  it contains prompts and answers: share it with care")
