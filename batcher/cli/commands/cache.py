"""`batcher cache`: answers kept for reuse."""

import re

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import agreed
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import note, number, print_json, say, size, table
from batcher.domain.errors import UsageError

_GROUP_EPILOG = """\b
Examples:
  batcher cache stats
  batcher cache clear --older-than 7d
"""
_AGE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@click.group(epilog=_GROUP_EPILOG)
@shared
def cache() -> None:
    """Answers kept for reuse.

    A row whose body was answered before, by the same endpoint, is answered from here; nothing is sent.
    """


@cache.command(epilog="\b\nExample:\n  batcher cache stats --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def stats(session: Session, *, as_json: bool) -> None:
    """Count them, by endpoint."""
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415
    from batcher.services.store import cache as kept  # noqa: PLC0415 - heavy modules only where they are used

    with opened_if_present(session.db_to_look) as database:
        found = kept.stats(database)
    if as_json:
        print_json(found)
    elif not found.answers:
        say("no answers are kept")
    else:
        head = ["endpoint", "answers", "size", "oldest", "newest"]
        rows = [
            [line.base_url, number(line.answers), size(line.bytes), line.oldest or "", line.newest or ""]
            for line in found.data
        ]
        table([head, *rows], right=frozenset({1, 2}))


@cache.command(epilog="\b\nExamples:\n  batcher cache clear\n  batcher cache clear --older-than 7d --yes")
@click.option("--older-than", metavar="D", help="Only those older than this: 90s, 30m, 12h, 7d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
@click.pass_obj
def clear(session: Session, *, older_than: str | None, yes: bool) -> int:
    """Forget them; never a job's results.

    What is forgotten is asked again, and paid again, when a later job has the same row.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415
    from batcher.services.store import cache as kept  # noqa: PLC0415

    seconds = None if older_than is None else _seconds(older_than)
    with opened_if_present(session.db_to_look) as database:
        if database is None:
            say("no answers are kept; nothing was forgotten")
            return 0
        what = "all answers kept for reuse" if older_than is None else f"the answers older than {older_than}"
        if not agreed(f"Forget {what}?", yes=yes):
            note("nothing was forgotten")
            return FAILED
        count = kept.clear(database, older_than=seconds, clock=SystemClock())
    say(f"{number(count)} answers are forgotten; results of jobs are as they were")
    return 0


def _seconds(age: str) -> float:
    match = _AGE.fullmatch(age.strip())
    if match is None:
        raise UsageError(f'--older-than "{age}" is no age', hint="write it as 90s, 30m, 12h, 7d or 2w")
    return float(match[1]) * _UNITS[match[2]]
