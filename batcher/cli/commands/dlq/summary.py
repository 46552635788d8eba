"""`batcher dlq summary`: group dead letters by cause."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import letter_count, number, print_json, say
from batcher.policy.privacy.sanitize import one_line

if TYPE_CHECKING:
    from batcher.services.dead_letters.summarize import CauseEntry, DeadLetterSummary

_EPILOG = """\b
Examples:
  batcher dlq summary                       all jobs
  batcher dlq summary --job gsm8k --json    one job, for a script
"""

_ID_WIDTH, _MESSAGE_WIDTH = 60, 200


@click.command(epilog=_EPILOG)
@click.option("--job", metavar="JOB", help="Select by job, given as number or unique name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def summary(session: Session, *, job: str | None, as_json: bool) -> None:
    """Group dead letters by cause, each with a fix."""
    from batcher.services.dead_letters import summarize  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import find, opened_if_present  # noqa: PLC0415

    with opened_if_present(session.db_to_read, job=job) as database:
        found = summarize.DeadLetterSummary(data=[], total=0)
        if database is not None:
            found = summarize.summarize(database, None if job is None else find(database, job).id)
    print_json(found) if as_json else _say(found)


def _say(found: "DeadLetterSummary") -> None:
    if not found.total:
        say("there are no dead letters")
        return
    for cause in found.data:
        _say_cause(cause)
        say()
    say(f"{letter_count(found.total)} of {len(found.data)} {'cause' if len(found.data) == 1 else 'causes'}")


def _say_cause(cause: "CauseEntry") -> None:
    example = cause.example
    status = "no reply" if cause.status is None else f"HTTP {cause.status}"
    say(f"{letter_count(cause.count)}: {one_line(cause.code, _ID_WIDTH)}: {words(cause.advice)}")
    say(f"  {cause.kind}, {status}; {number(cause.sent)} of {number(cause.count)} sent")
    models = ", ".join(one_line(model, _ID_WIDTH) for model in cause.models if model) or "no model"
    say(f"  {models} at {', '.join(cause.endpoints)} ({', '.join(cause.urls)})")
    where = f"job {example.job}, line {example.line}, {one_line(example.custom_id, _ID_WIDTH)}"
    message = one_line(example.message, _MESSAGE_WIDTH)
    say(f"  for example request {example.request} ({where}){': ' if message else ''}{message}")
