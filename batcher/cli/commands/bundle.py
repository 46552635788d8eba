"""`batcher bundle`: one file for a support desk."""

import os
from pathlib import Path

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.params.values import Whole
from batcher.cli.terminal.output import number, print_json, say, size

_EPILOG = """\b
Examples:
  batcher bundle -o support.zip                  the newest job
  batcher bundle --job gsm8k -o support.zip
  batcher bundle --request 17 -o support.zip --with-content
"""

#: SQLite's largest integer; no request has a larger number.
_REQUEST = Whole(1, 2**63 - 1)


@click.command(epilog=_EPILOG)
@click.option("--job", metavar="JOB", help="A number or a unique name.  [default: the newest job]")
@click.option("--request", type=_REQUEST, metavar="N", help="One request, by the number `dlq list` prints.")
@click.option("-o", "--output", metavar="FILE.zip", required=True, help="Where the bundle goes.")
@click.option("--with-content", is_flag=True, help="Put the failures' bodies and replies in: prompts and answers.")
@click.option("--force", is_flag=True, help="Replace FILE.zip.")
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
    """Pack what a support desk asks for into one zip.

    Versions, settings, status, attempts with request ids, causes, the structure of requests, and a README that
    says how to reproduce it. No key; no prompt text unless --with-content.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.domain.ids import RequestId  # noqa: PLC0415
    from batcher.services.diagnostics.bundle import BundleOptions, write_bundle  # noqa: PLC0415
    from batcher.services.jobs.manage import opened_for  # noqa: PLC0415

    asked = None if request is None else RequestId(request)
    choice = BundleOptions(job=job, request=asked, with_content=with_content)
    with opened_for(session.db, job) as (database, _):
        done = write_bundle(
            database,
            choice,
            Path(output),
            now=SystemClock().now(),
            zone=None,
            environ=os.environ,
            force=force,
        )
    if as_json:
        print_json(done)
        return
    say(f"job {done.job} → {output} ({size(done.bytes)}, {number(len(done.members))} files)")
    for each in done.left_out:
        say(f"  left out: {each}")
    if with_content:
        say("  it holds prompts and answers: hand it on with care")
