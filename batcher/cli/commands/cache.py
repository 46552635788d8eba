"""`batcher cache`: show or clear the cache of answers."""

import click

from batcher.cli.params.durations import read_duration
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.confirm import confirm
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import note, number, print_json, say, size, table
from batcher.domain.errors import UsageError

_GROUP_EPILOG = """\b
Examples:
  batcher cache stats
  batcher cache clear --older-than 7d
"""


@click.group(epilog=_GROUP_EPILOG)
@shared
def cache() -> None:
    """Show or clear the cache of answers.

    If the same endpoint has answered the same body before, a row takes that answer from the cache and sends
    nothing.
    """


@cache.command(epilog="\b\nExamples:\n  batcher cache stats\n  batcher cache stats --json    for a script")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def stats(session: Session, *, as_json: bool) -> None:
    """Count the cached answers by endpoint."""
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415
    from batcher.services.store import cache as answer_cache  # noqa: PLC0415 - heavy modules only where they are used

    with opened_if_present(session.db_to_read) as database:
        found = answer_cache.stats(database)
    if as_json:
        print_json(found)
    elif not found.answers:
        say("no answers are cached")
    else:
        head = ["endpoint", "answers", "size", "oldest", "newest"]
        rows = [
            [line.base_url, number(line.answers), size(line.bytes), line.oldest or "", line.newest or ""]
            for line in found.data
        ]
        table([head, *rows], right=frozenset({1, 2}))


@cache.command(
    epilog="\b\nExamples:\n  batcher cache clear                          all, after a question\n"
    "  batcher cache clear --older-than 7d --yes    without a question"
)
@click.option("--older-than", metavar="AGE", help="Only answers older than this: 90s, 30m, 12h, 7d, 2w.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@shared
@click.pass_obj
def clear(session: Session, *, older_than: str | None, yes: bool) -> int:
    """Remove answers from the cache; results of jobs stay.

    A later job with the same row sends that row again, and pays for it again. Asks for confirmation first.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415
    from batcher.services.store import cache as answer_cache  # noqa: PLC0415

    seconds = None if older_than is None else _seconds(older_than)
    with opened_if_present(session.db_to_read) as database:
        if database is None:
            say("no answers are cached; nothing was removed")
            return 0
        which = "all cached answers" if older_than is None else f"the cached answers older than {older_than}"
        if not confirm(f"Remove {which}?", yes=yes):
            note("nothing was removed")
            return FAILED
        count = answer_cache.clear(database, older_than=seconds, clock=SystemClock())
    removed = "1 answer" if count == 1 else f"{number(count)} answers"
    say(f"{removed} removed from the cache; results of jobs are unchanged")
    return 0


def _seconds(age: str) -> float:
    seconds = read_duration(age)
    if seconds is None:
        raise UsageError(f'--older-than "{age}" is not an age', hint="write it as 90s, 30m, 12h, 7d or 2w")
    return seconds
